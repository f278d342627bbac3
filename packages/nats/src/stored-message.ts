import { Buffer } from 'node:buffer'
import { decodeHeaderValue } from '@outbox/core/wire'
import { isRecord } from './answers.ts'
import * as headerNames from './header-names.ts'

/** What the fence reads of a message that a stream holds. Fields of messages that no fenced publisher wrote are absent. */
export interface StoredMessage {
  readonly subject: string
  readonly streamSequence: number
  readonly messageId: string | undefined
  readonly epoch: number | undefined
  readonly source: string | undefined
  readonly partition: number | undefined
  readonly holder: string | undefined
  /** stream sequence of the message before it on the subject; 0 for none */
  readonly previous: number | undefined
  /** the highest sequence of the aggregate up to and with this message */
  readonly highest: number | undefined
}

/** Reads the reply to `STREAM.MSG.GET`; undefined if it is none. */
export function storedMessageFrom(body: Readonly<Record<string, unknown>>): StoredMessage | undefined {
  const { message } = body
  if (!isRecord(message) || typeof message['seq'] !== 'number') return undefined
  const hdrs = message['hdrs']
  const headers = headersFrom(typeof hdrs === 'string' ? hdrs : '')
  const number = (name: string): number | undefined => {
    const value = headers.get(name)
    return value !== undefined && /^\d{1,16}$/.test(value) ? Number(value) : undefined
  }
  return {
    subject: String(message['subject']),
    streamSequence: message['seq'],
    messageId: headers.get(headerNames.messageId),
    epoch: number(headerNames.epoch),
    source: headers.get(headerNames.source),
    partition: number(headerNames.partition),
    holder: headers.get(headerNames.holder),
    previous: number(headerNames.previous),
    highest: number(headerNames.highest),
  }
}

function headersFrom(base64: string): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (const line of Buffer.from(base64, 'base64').toString().split('\r\n').slice(1)) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon), decodeHeaderValue(line.slice(colon + 1).trim()))
  }
  return headers
}
