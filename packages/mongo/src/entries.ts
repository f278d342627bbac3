import type { DeadLetter, OutboxEntry } from '@outbox/core'
import { deduplicationIdOf } from '@outbox/core/adapter'
import type { Numbered } from './numbering.ts'
import { type ToUuid, uuidText } from './uuids.ts'
import { type Document, dateIn, documentIn, headersIn, numberIn, textIn } from './values.ts'

/**
 * An entry's document, as it begins. What belongs together changes in one write of this one document, and nothing that
 * decides over an entry or its aggregate stands anywhere else:
 *
 * - `state`: pending, published, dead or discarded
 * - `holdsUntil`: its aggregate gets nothing lent before; in a pending entry because it waits for its next try, in a
 *   dead one, without end, because it blocks
 * - `asideUntil`, `moves`: where a scan meets it, see `aside.ts`; never what becomes of it
 * - `refused`, `requeues`: which try a settlement speaks of; both only grow
 * - `crashedUnder`, `settledUnder`, `settle`: the last lease, and call, whose word on it was taken
 */
export function newDocument(
  entry: Numbered,
  toUuid: ToUuid,
  place: { readonly position: number; readonly enqueuedAt: Date },
): Document {
  return {
    _id: toUuid(entry.id),
    partition: entry.partition,
    aggregate: aggregateOf(entry),
    eventType: entry.eventType,
    sequence: entry.sequence,
    numberedBy: entry.numberedBy,
    payload: entry.payload,
    payloadBytes: Buffer.byteLength(entry.payload),
    headers: JSON.stringify(entry.headers),
    occurredAt: entry.occurredAt,
    ...place,
    state: 'pending',
    asideUntil: inScan,
    moves: 0,
    refused: 0,
    crashes: 0,
    requeues: 0,
    crashedUnder: 0,
    settledUnder: 0,
    settle: null,
  }
}

/**
 * `asideUntil` of an entry that is not set aside. A date, and not null, so that queries name one point of the index: null
 * would mean "absent" as well.
 */
export const inScan: Date = new Date(0)

interface AggregateName {
  readonly aggregateType: string
  readonly aggregateId: string
}

/** An aggregate as a value: equal if type and id are, in this order of fields. */
export function aggregateOf({ aggregateType, aggregateId }: AggregateName): Document {
  return { type: aggregateType, id: aggregateId }
}

/** The aggregate's name, from a document that has one. */
export function aggregateNameOf(document: Document): AggregateName {
  const aggregate = documentIn(document, 'aggregate')
  return { aggregateType: textIn(aggregate, 'type'), aggregateId: textIn(aggregate, 'id') }
}

/** What is read of an entry to give it out. */
export const contentFields: Document = Object.freeze({
  partition: 1,
  aggregate: 1,
  eventType: 1,
  sequence: 1,
  payload: 1,
  headers: 1,
  occurredAt: 1,
  position: 1,
  state: 1,
  refused: 1,
  crashes: 1,
  requeues: 1,
})

/** The same of what a relay is lent. */
export const lentFields: Document = Object.freeze({ ...contentFields, numberedBy: 1 })

type Content = Omit<OutboxEntry, 'published' | 'publishedAt'>

export function content(document: Document): Content {
  return {
    id: uuidText(document['_id']),
    partition: numberIn(document, 'partition'),
    ...aggregateNameOf(document),
    eventType: textIn(document, 'eventType'),
    sequence: numberIn(document, 'sequence'),
    payload: textIn(document, 'payload'),
    headers: headersIn(document, 'headers'),
    occurredAt: dateIn(document, 'occurredAt'),
  }
}

/** What a relay and an operator see of an entry. */
export function lentContent(document: Document): DeadLetter['entry'] {
  const entry = content(document)
  const requeues = numberIn(document, 'requeues')
  return {
    ...entry,
    attempt: numberIn(document, 'refused') + 1,
    crashes: numberIn(document, 'crashes'),
    deduplicationId: deduplicationIdOf(entry.id, requeues),
  }
}
