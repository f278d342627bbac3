import {
  type DomainEvent,
  type Enqueueable,
  type IdSources,
  type OneOrMany,
  type Outbox,
  type OutboxEntry,
  type Receipt,
  systemClock,
  uuidv7Generator,
} from '@outbox/core'
import { entriesFrom, knownOptions } from '@outbox/core/adapter'
import { stage } from './enqueue.ts'
import { markPublished, outboxEntry } from './leased-source.ts'
import { addRow, pendingRows } from './rows.ts'
import { emptyState, type Row } from './state.ts'

export interface RecordingOutbox extends Outbox<unknown> {
  readonly enqueue: (tx: unknown, events: OneOrMany<Enqueueable>) => readonly Receipt[]
  /**
   * What was enqueued, in order, as it was given: copies of its records, arrays and dates, so that changing them
   * afterwards changes nothing here. An event whose id was there already is not kept twice.
   */
  readonly events: readonly DomainEvent[]
  /** the same as a store would keep it: with ids, sequences, JSON text; published ones included */
  readonly entries: readonly OutboxEntry[]
}

/**
 * A double for tests of code that enqueues: it fits wherever an `Outbox` or `Enqueue` of any database is asked for.
 *
 * Refuses what a store refuses (limits, lossy payloads, mixed and conflicting sequences) and hands out receipts. It
 * looks at no transaction: what is enqueued is kept, even if the transaction around it rolls back.
 *
 * @throws {OutboxError} `invalid-option`
 *
 * @example
 * ```ts
 * const outbox = recordingOutbox()
 * await placeOrder(outbox, order)
 * expect(outbox.events).toEqual([event('order.placed', { aggregateId: order.id, payload: { total: 3 } })])
 * ```
 */
export function recordingOutbox(ids: IdSources = {}): RecordingOutbox {
  const given = knownOptions('recordingOutbox', ids, { now: true, random: true })
  const newId = uuidv7Generator(given)
  const now = given.now ?? Date.now
  const state = emptyState({ clock: systemClock, now, source: newId() })
  const events: DomainEvent[] = []

  const rows = (): Row[] => [...state.rows.values()]
  return {
    get events() {
      return [...events]
    },
    get entries() {
      return rows().map(outboxEntry)
    },
    enqueue(_tx, given) {
      const staged: Row[] = []
      const receipts = stage(state, { staged, marks: [] }, entriesFrom(given, { newId, now }))
      for (const row of staged) addRow(state, row)
      const batch: readonly Enqueueable[] = isMany(given) ? given : [given]
      batch.forEach((event, index) => {
        if (receipts[index]?.duplicate === false) events.push(copied(asEvent(event)))
      })
      return receipts
    },
    async fetchUnpublished(limit, options) {
      options?.signal?.throwIfAborted()
      return pendingRows(state).slice(0, limit).map(outboxEntry)
    },
    async markPublished(ids, options) {
      options?.signal?.throwIfAborted()
      markPublished(state, ids)
    },
  }
}

function isMany(events: OneOrMany<Enqueueable>): events is readonly Enqueueable[] {
  return Array.isArray(events)
}

/** Objects of the caller's own classes are kept as they are: nobody else can say what a copy of one is. */
function copied<T>(value: T): T
function copied(value: unknown): unknown {
  if (value instanceof Date) return new Date(value)
  if (Array.isArray(value)) return value.map((item) => copied(item))
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, property]) => [key, copied(property)]))
}

function asEvent(given: Enqueueable): DomainEvent {
  if (!('eventType' in given)) return given
  const { id, eventType, aggregateType, aggregateId, sequence, occurredAt, headers } = given
  return {
    type: eventType,
    aggregateType,
    aggregateId,
    payload: JSON.parse(given.payload),
    sequence,
    id,
    occurredAt,
    headers,
  }
}
