import { describe, kindOf } from './kind.ts'

/**
 * What an entry may measure. Names fit into the key of an index on every database; the rest fits into what brokers
 * take by default. Lengths are in bytes of UTF-8.
 */
export const limits: {
  readonly nameBytes: number
  readonly aggregateIdBytes: number
  readonly headerCount: number
  readonly headerNameBytes: number
  readonly headersBytes: number
  readonly payloadBytes: number
  readonly consumerBytes: number
  readonly messageIdBytes: number
} = Object.freeze({
  /** event type, aggregate type */
  nameBytes: 255,
  aggregateIdBytes: 512,
  headerCount: 64,
  headerNameBytes: 128,
  /** names and values together */
  headersBytes: 16_384,
  /** default; a store's option raises it */
  payloadBytes: 1_048_576,
  /** the name of a consumer, in an inbox */
  consumerBytes: 255,
  messageIdBytes: 255,
})

/** Reports a fault of one event; what it throws names entry, path and limit. */
export type Refuse = (path: string, message: string, limit?: number, cause?: unknown) => Error

/** Bytes of `text` in UTF-8, where that is more than `limit`; otherwise undefined. Short texts are not counted. */
export function bytesBeyond(text: string, limit: number): number | undefined {
  if (text.length * 3 <= limit) return undefined
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) bytes += 1
    else if (code < 0x800) bytes += 2
    else if (code >= 0xd800 && code < 0xdc00 && i + 1 < text.length) {
      bytes += 4
      i++
    } else bytes += 3
  }
  return bytes > limit ? bytes : undefined
}

/** C0 and C1 controls and DEL: they break logs, headers and subjects, and 0x1F separates names in the hash. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const controls = /[\u0000-\u001f\u007f-\u009f]/
const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const reservedHeader = /^(?:outbox-|ce-|nats-)/i

export function checkName(name: string, value: unknown, limit: number, refuse: Refuse): string {
  if (typeof value !== 'string') throw refuse(name, `is ${describe(value)}, not a string`)
  if (value === '') throw refuse(name, 'is empty')
  if (controls.test(value)) throw refuse(name, 'contains a control character')
  if (!value.isWellFormed()) throw refuse(name, 'contains a lone surrogate, which is not Unicode text')
  const bytes = bytesBeyond(value, limit)
  if (bytes !== undefined) throw refuse(name, `is ${bytes} bytes long; the limit is ${limit}`, limit)
  return value
}

export function checkEventType(name: string, value: unknown, refuse: Refuse): string {
  const type = checkName(name, value, limits.nameBytes, refuse)
  if (/\s/.test(type)) throw refuse(name, 'contains white space')
  if (!type.includes('.') || type.split('.').includes('')) {
    throw refuse(name, "is not dotted: write it like 'order.placed', aggregate first")
  }
  return type
}

export function checkHeaders(value: unknown, refuse: Refuse): Readonly<Record<string, string>> {
  if (value === undefined) return noHeaders
  if (typeof value !== 'object' || value === null || kindOf(value) !== 'Object') {
    throw refuse('headers', `is ${describe(value)}, not a plain object`)
  }
  const pairs = Object.entries(value)
  if (pairs.length > limits.headerCount) {
    throw refuse('headers', `holds ${pairs.length} headers; the limit is ${limits.headerCount}`, limits.headerCount)
  }
  let size = 0
  for (const [name, text] of pairs) {
    size += checkHeader(name, text, refuse)
    if (size > limits.headersBytes) {
      throw refuse('headers', `measures more than ${limits.headersBytes} bytes`, limits.headersBytes)
    }
  }
  return pairs.length === 0 ? noHeaders : Object.freeze(Object.fromEntries(pairs) as Record<string, string>)
}

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

function checkHeader(name: string, text: unknown, refuse: Refuse): number {
  const path = `headers[${JSON.stringify(name.slice(0, limits.headerNameBytes))}]`
  if (!headerName.test(name)) throw refuse(path, "is no header name: letters, digits and !#$%&'*+-.^_`|~ only")
  if (name.length > limits.headerNameBytes) {
    throw refuse(
      path,
      `has a name of ${name.length} bytes; the limit is ${limits.headerNameBytes}`,
      limits.headerNameBytes,
    )
  }
  if (reservedHeader.test(name)) throw refuse(path, 'begins with outbox-, ce- or nats-, which are reserved')
  if (typeof text !== 'string') throw refuse(path, `is ${describe(text)}, not a string`)
  if (controls.test(text)) throw refuse(path, 'contains a control character')
  if (!text.isWellFormed()) throw refuse(path, 'contains a lone surrogate, which is not Unicode text')
  return name.length + encodedLength(text)
}

function encodedLength(text: string): number {
  return bytesBeyond(text, 0) ?? 0
}
