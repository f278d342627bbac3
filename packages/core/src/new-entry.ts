import type { NewEntry, OutboxEntry } from './entry.ts'
import { OutboxError } from './errors.ts'
import type { DomainEvent } from './event.ts'
import { isUuid } from './ids.ts'
import { findJsonFault, formatPath, type JsonText } from './json.ts'
import { describe, isDate } from './kind.ts'
import { bytesBeyond, checkEventType, checkHeaders, checkName, limits, type Refuse } from './limits.ts'
import { partitionOf } from './partition.ts'

export type OneOrMany<T> = T | readonly T[]
/** What `enqueue` takes: an event, or an entry made by `entryFromEnvelope`. */
export type Enqueueable = DomainEvent | OutboxEntry

export interface EntryOptions {
  /** mints the ids of events that bring none */
  readonly newId: () => string
  /** wall clock, milliseconds since 1970, for events that do not say when they happened */
  readonly now: () => number
  /** default 1 MiB */
  readonly maxPayloadBytes?: number
}

/**
 * For stores: turns what `enqueue` was given into entries, in the same order, or throws before anything is written.
 *
 * Fills in the defaults (id, time, aggregate type), serialises the payload, checks every limit. An id that stands
 * twice in the batch is kept twice: to the store the second is a duplicate, as in two calls.
 *
 * @throws {OutboxError} `invalid-event` with index, path and limit; `sequence-source-mixed`
 */
export function entriesFrom(events: OneOrMany<Enqueueable>, options: EntryOptions): readonly NewEntry[] {
  const batch: readonly unknown[] = Array.isArray(events) ? events : [events]
  const entries = Array.from(batch, (event, index) => newEntry(event, index, options))
  refuseMixedSequences(entries)
  return entries
}

/** The order in which a store writes a batch: by aggregate, then sequence, so that locks are taken in one order. */
export function inWriteOrder<Entry extends NewEntry>(entries: readonly Entry[]): Entry[] {
  return [...entries].sort(
    (a, b) =>
      compareText(a.aggregateType, b.aggregateType) ||
      compareText(a.aggregateId, b.aggregateId) ||
      (a.sequence ?? 0) - (b.sequence ?? 0),
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function newEntry(given: unknown, index: number, options: EntryOptions): NewEntry {
  const refuse: Refuse = (path, message, limit, cause) => refusal(index, path, message, limit, cause)
  if (typeof given !== 'object' || given === null) {
    throw refuse('', `is ${describe(given)}, not an event: make one with event('order.placed', { … })`)
  }
  return 'eventType' in given
    ? entryFromEntry(given as Partial<OutboxEntry>, options, refuse)
    : entryFromEvent(given as Partial<DomainEvent>, options, refuse)
}

export function entryFromEvent(given: Partial<DomainEvent>, options: EntryOptions, refuse: Refuse): NewEntry {
  const eventType = checkEventType('type', given.type, refuse)
  const aggregateType = given.aggregateType ?? eventType.slice(0, eventType.indexOf('.'))
  return checkedEntry(given, { eventType, aggregateType, payload: serialise(given.payload, refuse) }, options, refuse)
}

/** An entry made elsewhere is not trusted to be what its type says: it is checked like an event. */
function entryFromEntry(given: Partial<OutboxEntry>, options: EntryOptions, refuse: Refuse): NewEntry {
  const { payload, aggregateType, sequence } = given
  const eventType = checkEventType('eventType', given.eventType, refuse)
  if (typeof payload !== 'string') throw refuse('payload', `is ${describe(payload)}, not JSON text`)
  if (!isJsonText(payload)) throw refuse('payload', 'is not JSON text: an entry carries serialised JSON')
  if (sequence === undefined) throw refuse('sequence', 'is missing')
  if (given.published) throw refuse('published', 'is true: it was published')
  return checkedEntry(given, { eventType, aggregateType, payload }, options, refuse)
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text)
  } catch {
    return false // the parser's error is not kept: it quotes the payload
  }
  return text.isWellFormed()
}

export function refusal(
  index: number,
  path: string,
  message: string,
  limit?: number,
  cause?: unknown,
): OutboxError<'invalid-event'> {
  return new OutboxError(
    'invalid-event',
    `Event ${index}${path && `, ${path}`}: ${message}. Nothing was written.`,
    { index, path, ...(limit === undefined ? {} : { limit }) },
    cause === undefined ? undefined : { cause },
  )
}

interface Content {
  readonly eventType: string
  readonly aggregateType: unknown
  readonly payload: JsonText
}

/** Reads each field of `given` by name: it may be an instance of a class, whose getters a spread would lose. */
function checkedEntry(given: Partial<Enqueueable>, content: Content, options: EntryOptions, refuse: Refuse): NewEntry {
  const { eventType, payload } = content
  const aggregateType = checkName('aggregateType', content.aggregateType, limits.nameBytes, refuse)
  const aggregateId = checkName('aggregateId', given.aggregateId, limits.aggregateIdBytes, refuse)
  const maxPayloadBytes = options.maxPayloadBytes ?? limits.payloadBytes
  const payloadBytes = bytesBeyond(payload, maxPayloadBytes)
  if (payloadBytes !== undefined) {
    throw refuse('payload', `is ${payloadBytes} bytes of JSON; the limit is ${maxPayloadBytes}`, maxPayloadBytes)
  }
  return {
    id: checkId(given.id === undefined ? options.newId() : given.id, refuse),
    eventType,
    aggregateType,
    aggregateId,
    sequence: checkSequence(given.sequence, refuse),
    occurredAt: checkTime(given.occurredAt === undefined ? new Date(options.now()) : given.occurredAt, refuse),
    payload,
    headers: checkHeaders(given.headers, refuse),
    partition: partitionOf(aggregateType, aggregateId),
  }
}

function checkId(id: unknown, refuse: Refuse): string {
  if (!isUuid(id)) throw refuse('id', `is ${typeof id === 'string' ? 'no UUID' : describe(id)}`)
  return id.toLowerCase()
}

function checkSequence(sequence: unknown, refuse: Refuse): number | undefined {
  if (sequence === undefined) return undefined
  if (typeof sequence !== 'number' && typeof sequence !== 'bigint') {
    throw refuse('sequence', `is ${describe(sequence)}, not a number or bigint`)
  }
  const number = Number(sequence)
  if (!Number.isSafeInteger(number) || number < 0) {
    throw refuse('sequence', 'is not a whole number from 0 to 2^53 - 1', Number.MAX_SAFE_INTEGER)
  }
  return number
}

const firstTime = Date.parse('0001-01-01T00:00:00.000Z')
const lastTime = Date.parse('9999-12-31T23:59:59.999Z')

function checkTime(time: unknown, refuse: Refuse): Date {
  if (!isDate(time)) throw refuse('occurredAt', `is ${describe(time)}, not a Date`)
  const milliseconds = time.getTime()
  if (!(milliseconds >= firstTime && milliseconds <= lastTime)) {
    throw refuse('occurredAt', 'is no date between the years 1 and 9999')
  }
  return new Date(milliseconds)
}

function serialise(payload: unknown, refuse: Refuse): JsonText {
  let found: ReturnType<typeof findJsonFault>
  try {
    found = findJsonFault(payload)
    if (!found) return JSON.stringify(payload)
  } catch (error) {
    throw refuse('payload', 'throws while it is serialised: a getter or toJSON() failed', undefined, error)
  }
  throw refuse(formatPath('payload', found.keys.toReversed()), found.message)
}

function refuseMixedSequences(entries: readonly NewEntry[]): void {
  const isGiven = new Map<string, boolean>()
  for (const { aggregateType, sequence } of entries) {
    const before = isGiven.get(aggregateType)
    if (before !== undefined && before !== (sequence !== undefined)) throw mixedSequences(aggregateType)
    isGiven.set(aggregateType, sequence !== undefined)
  }
}

/** For stores: the error for an aggregate type that is numbered in two ways. */
export function mixedSequences(aggregateType: string): OutboxError<'sequence-source-mixed'> {
  return new OutboxError(
    'sequence-source-mixed',
    `Events of aggregate type '${aggregateType}' come with and without a sequence. Either give every event of this type its aggregate's version, or none, and the store numbers them.`,
    { aggregateType },
  )
}

/** For stores: the error for a sequence that another entry of the aggregate has. */
export function sequenceConflict(
  aggregate: { readonly aggregateType: string; readonly aggregateId: string; readonly sequence: number },
  options?: ErrorOptions,
): OutboxError<'sequence-conflict'> {
  const { aggregateType, aggregateId, sequence } = aggregate
  return new OutboxError(
    'sequence-conflict',
    `Sequence ${sequence} of ${aggregateType} '${aggregateId}' is taken by another entry: two writers met. Load the aggregate again and repeat the transaction.`,
    { aggregateType, aggregateId, sequence },
    options,
  )
}
