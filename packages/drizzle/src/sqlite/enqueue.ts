import type { NewEntry, Receipt } from '@outbox/core'
import { aggregateKey, entriesToWrite, mixedSequences, receiptsFor, type Stored } from '@outbox/core/adapter'
import { aggregateList, aggregateOf } from './aggregates.ts'
import type { TableNames } from './names.ts'
import { becomePending } from './pending.ts'
import { integerOf, textOf } from './rows.ts'
import { refuseConflicts } from './sequence-conflicts.ts'
import { inOneGo, type Query, query, type SqlValue, type Steps } from './steps.ts'
import { writeLock } from './transact.ts'

/** 900 placeholders: far below SQLite's limit, and longer statements are no faster. */
const rowsPerStatement = 100

/** An entry as it will be written. */
interface NumberedEntry extends NewEntry {
  readonly sequence: number
}

/**
 * Writes a batch in the caller's transaction, in write order. @returns receipts, in the order given
 *
 * The write lock comes first: what is looked up under it holds until the transaction ends. So all is known, conflicts
 * too, before the first row is written; then the batch is written in one go.
 */
export function* enqueue(names: TableNames, entries: readonly NewEntry[]): Steps<readonly Receipt[]> {
  yield writeLock(names.meta, 'key')
  const stored = yield* storedBefore(names, entries)
  const fresh = entriesToWrite(entries.filter(({ id }) => !stored.has(id)))
  if (fresh.length > 0) {
    const newSources = yield* newSequenceSources(names, fresh)
    yield* refuseConflicts(names, fresh)
    const { numbered, sequences } = yield* numberedFrom(names, fresh)
    yield* inOneGo([...newSources, ...sequences, ...insertsOf(names, numbered)])
    for (const { id, sequence } of numbered) stored.set(id, { sequence, isNew: true })
  }
  return receiptsFor(entries, fresh, stored)
}

/** What is known of ids that are in the outbox already. */
function* storedBefore(names: TableNames, entries: readonly NewEntry[]): Steps<Map<string, Stored>> {
  const rows = yield* query(
    `SELECT id, sequence FROM ${names.entries} INDEXED BY ${names.entriesById} WHERE id IN (SELECT value FROM json_each(?))`,
    JSON.stringify(entries.map(({ id }) => id)),
  )
  return new Map(rows.map((row) => [textOf(row, 'id'), { sequence: integerOf(row, 'sequence'), isNew: false }]))
}

/** Refuses a type that is numbered another way than before. @returns what writes down how new types are */
function* newSequenceSources({ meta }: TableNames, entries: readonly NewEntry[]): Steps<readonly Query[]> {
  const sources = new Map(
    entries.map(({ aggregateType, sequence }) => [aggregateType, sequence === undefined ? 'store' : 'caller']),
  )
  const rows = yield* query(
    `SELECT t.value AS aggregate_type, (SELECT value FROM ${meta} WHERE key = 'sequence-source:' || t.value) AS source
     FROM json_each(?) t`,
    JSON.stringify([...sources.keys()]),
  )
  return rows.flatMap((row) => {
    const aggregateType = textOf(row, 'aggregate_type')
    const source = sources.get(aggregateType) ?? null
    if (row['source'] !== null) {
      if (row['source'] !== source) throw mixedSequences(aggregateType)
      return []
    }
    const text = `INSERT INTO ${meta} (key, value) VALUES ('sequence-source:' || ?, ?)`
    return [{ text, values: [aggregateType, source] }]
  })
}

interface Numbered {
  readonly numbered: readonly NumberedEntry[]
  /** what moves the counters on */
  readonly sequences: readonly Query[]
}

/** Gives every entry that brings no sequence its aggregate's next. */
function* numberedFrom(names: TableNames, entries: readonly NewEntry[]): Steps<Numbered> {
  const lastSequences = yield* lastSequencesOf(names, entries)
  const advanced = new Map<string, SqlValue[]>()
  const numbered = entries.map((entry): NumberedEntry => {
    const { aggregateType, aggregateId } = entry
    const key = aggregateKey(entry)
    if (entry.sequence !== undefined) return { ...entry, sequence: entry.sequence }
    const sequence = (lastSequences.get(key) ?? 0) + 1
    lastSequences.set(key, sequence)
    advanced.set(key, [aggregateType, aggregateId, sequence])
    return { ...entry, sequence }
  })
  const text = `INSERT INTO ${names.sequences} (aggregate_type, aggregate_id, last_sequence)
     SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
     ON CONFLICT DO UPDATE SET last_sequence = excluded.last_sequence`
  return { numbered, sequences: advanced.size > 0 ? [{ text, values: [JSON.stringify([...advanced.values()])] }] : [] }
}

/** 0 for an aggregate without a counter. */
function* lastSequencesOf(names: TableNames, entries: readonly NewEntry[]): Steps<Map<string, number>> {
  const rows = yield* query(
    `SELECT t.value ->> 0 AS aggregate_type, t.value ->> 1 AS aggregate_id, ifnull((
         SELECT last_sequence FROM ${names.sequences}
         WHERE aggregate_type = t.value ->> 0 AND aggregate_id = t.value ->> 1), 0) AS last_sequence
     FROM json_each(?) t`,
    aggregateList(entries),
  )
  return new Map(rows.map((row) => [aggregateKey(aggregateOf(row)), integerOf(row, 'last_sequence')]))
}

/** Plain values, because payloads inside a JSON parameter cost ten times as much. */
function insertsOf(names: TableNames, rows: readonly NumberedEntry[]): readonly Query[] {
  const inserts: Query[] = []
  for (let from = 0; from < rows.length; from += rowsPerStatement) {
    const chunk = rows.slice(from, from + rowsPerStatement)
    const placeholders = chunk.map(() => '(?, ?, ?, ?, ?, ?, ?, ?, ?)').join(', ')
    const text = `INSERT INTO ${names.entries} (id, partition, aggregate_type, aggregate_id, event_type, sequence, occurred_at, headers, payload)
     VALUES ${placeholders}`
    inserts.push({ text, values: chunk.flatMap(valuesOf) })
  }
  const pending = becomePending(
    names,
    rows.map(({ id }) => id),
  )
  return [...inserts, pending]
}

function valuesOf(entry: NumberedEntry): SqlValue[] {
  return [
    entry.id,
    entry.partition,
    entry.aggregateType,
    entry.aggregateId,
    entry.eventType,
    entry.sequence,
    entry.occurredAt.getTime(),
    JSON.stringify(entry.headers),
    entry.payload,
  ]
}
