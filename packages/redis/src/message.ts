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

/** The fields of a stream entry, in order. The payload is the JSON text itself: its UTF-8 goes out unchanged. */
export interface MessageFields {
  readonly names: readonly string[]
  /** as many */
  readonly values: readonly string[]
}

export function messageFields(entry: DueEntry, format: RedisFormat): MessageFields {
  if (format === 'cloudevents-structured') return { names: [structuredField], values: [structuredCloudEvent(entry)] }
  const names: string[] = []
  const values: string[] = []
  const add = (name: string, value: string): void => {
    names.push(name)
    values.push(value)
  }
  if (format === 'cloudevents') {
    for (const [name, value] of cloudEventAttributes(entry)) add(cloudEventPrefix + name, value)
  } else {
    for (const [name, value] of wireFields(entry)) add(name, value)
  }
  for (const [name, value] of Object.entries(entry.headers)) add(headerPrefix + name, value)
  add(payloadFields[format], entry.payload)
  return { names, values }
}
