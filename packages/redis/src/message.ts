import type { DueEntry } from '@outbox/core'
import { cloudEventAttributes, structuredCloudEvent, wireFields } from '@outbox/core/wire'
import type { RedisFormat } from './options.ts'

/** Prefixes keep the user's headers and the envelope's fields apart, whatever a header is called. */
export const headerPrefix = 'header:'
export const cloudEventPrefix = 'ce_'
/** Redis has no CloudEvents binding: the structured form stands in one field of this name. */
export const structuredField = 'cloudevent'
export const payloadFields: Readonly<Record<'fields' | 'cloudevents', string>> = Object.freeze({
  fields: 'payload',
  cloudevents: 'data',
})

/** The fields and values of a stream entry, in turn. The payload is the JSON text itself: its UTF-8 goes out unchanged. */
export function messageFields(entry: DueEntry, format: RedisFormat): string[] {
  if (format === 'cloudevents-structured') return [structuredField, structuredCloudEvent(entry)]
  const fields: string[] = []
  if (format === 'cloudevents') {
    for (const [name, value] of cloudEventAttributes(entry)) fields.push(cloudEventPrefix + name, value)
  } else {
    for (const [name, value] of wireFields(entry)) fields.push(name, value)
  }
  for (const [name, value] of Object.entries(entry.headers)) fields.push(headerPrefix + name, value)
  fields.push(payloadFields[format], entry.payload)
  return fields
}
