import { aggregateKey, mixedSequences, type NewEntry, type Receipt, sequenceConflict } from '@outbox/core'
import { entriesToWrite, receiptsFor, type Stored } from '../shared/receipts.ts'
import { aggregateList, aggregateOf } from './aggregates.ts'
import type { TableNames } from './names.ts'
import { booleanOf, integerOf, textOf } from './rows.ts'
import { query, type SqlValue, type Steps } from './steps.ts'

/** 1,000 placeholders: far below SQLite's limit, and longer statements are no faster. */
const rowsPerStatement = 100

/** An entry as it will be written: numbered, and parked if its aggregate stands outside the scan. */
interface NumberedEntry extends NewEntry {
  readonly sequence: number
  readonly state: 'pending' | 'parked'
}

/**
 * Writes a batch in the caller's transaction, in write order. @returns receipts, in the order given
 *
 * The write lock comes first: SQLite has one writer, so what is looked up under it holds until the transaction ends.
 */
export function* enqueue(names: TableNames, entries: readonly NewEntry[]): Steps<readonly Receipt[]> {
  yield* query(`UPDATE ${names.meta} SET value = value WHERE key = ''`)
  const stored = yield* storedBefore(names, entries)
  const fresh = entriesToWrite(entries.filter(({ id }) => !stored.has(id)))
  if (fresh.length > 0) {
    yield* keepSequenceSources(names, fresh)
    for (const { id, sequence } of yield* write(names, fresh)) stored.set(id, { sequence, isNew: true })
  }
  return receiptsFor(entries, fresh, stored)
}

/** What is known of ids that are in the outbox already. */
function* storedBefore(names: TableNames, entries: readonly NewEntry[]): Steps<Map<string, Stored>> {
  const rows = yield* query(
    `SELECT id, sequence FROM ${names.entries} WHERE id IN (SELECT value FROM json_each(?))`,
    JSON.stringify(entries.map(({ id }) => id)),
  )
  return new Map(rows.map((row) => [textOf(row, 'id'), { sequence: integerOf(row, 'sequence'), isNew: false }]))
}

/** Refuses a type that is numbered another way than before; of a new type it writes down how. */
function* keepSequenceSources({ meta }: TableNames, entries: readonly NewEntry[]): Steps<void> {
  const sources = new Map(
    entries.map(({ aggregateType, sequence }) => [aggregateType, sequence === undefined ? 'store' : 'caller']),
  )
  const rows = yield* query(
    `SELECT t.value AS aggregate_type, m.value AS source
     FROM json_each(?) t LEFT JOIN ${meta} m ON m.key = 'sequence-source:' || t.value`,
    JSON.stringify([...sources.keys()]),
  )
  for (const row of rows) {
    const aggregateType = textOf(row, 'aggregate_type')
    const source = sources.get(aggregateType) ?? null
    if (row['source'] === null) {
      yield* query(`INSERT INTO ${meta} (key, value) VALUES ('sequence-source:' || ?, ?)`, aggregateType, source)
    } else if (row['source'] !== source) throw mixedSequences(aggregateType)
  }
}

/** Gives every entry that brings no sequence its aggregate's next, and writes all of them. */
function* write(names: TableNames, entries: readonly NewEntry[]): Steps<readonly NumberedEntry[]> {
  const aggregates = yield* aggregatesOf(names, entries)
  const advanced = new Map<string, SqlValue[]>()
  const numbered = entries.map((entry): NumberedEntry => {
    const { aggregateType, aggregateId } = entry
    const key = aggregateKey(entry)
    const aggregate = aggregates.get(key) ?? { lastSequence: 0, isParked: false }
    const state = aggregate.isParked ? 'parked' : 'pending'
    if (entry.sequence !== undefined) return { ...entry, sequence: entry.sequence, state }
    const sequence = aggregate.lastSequence + 1
    aggregates.set(key, { ...aggregate, lastSequence: sequence })
    advanced.set(key, [aggregateType, aggregateId, sequence])
    return { ...entry, sequence, state }
  })
  if (advanced.size > 0) {
    yield* query(
      `INSERT INTO ${names.sequences} (aggregate_type, aggregate_id, last_sequence)
       SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
       ON CONFLICT DO UPDATE SET last_sequence = excluded.last_sequence`,
      JSON.stringify([...advanced.values()]),
    )
  }
  for (let from = 0; from < numbered.length; from += rowsPerStatement) {
    yield* insert(names, numbered.slice(from, from + rowsPerStatement))
  }
  return numbered
}

interface AggregateNow {
  readonly lastSequence: number
  readonly isParked: boolean
}

function* aggregatesOf(names: TableNames, entries: readonly NewEntry[]): Steps<Map<string, AggregateNow>> {
  const rows = yield* query(
    `SELECT t.value ->> 0 AS aggregate_type, t.value ->> 1 AS aggregate_id,
       coalesce((
         SELECT last_sequence FROM ${names.sequences}
         WHERE aggregate_type = t.value ->> 0 AND aggregate_id = t.value ->> 1), 0) AS last_sequence,
       EXISTS (
         SELECT 1 FROM ${names.aggregates}
         WHERE aggregate_type = t.value ->> 0 AND aggregate_id = t.value ->> 1) AS is_parked
     FROM json_each(?) t`,
    aggregateList(entries),
  )
  return new Map(
    rows.map((row) => [
      aggregateKey(aggregateOf(row)),
      { lastSequence: integerOf(row, 'last_sequence'), isParked: booleanOf(row, 'is_parked') },
    ]),
  )
}

/** Plain values, because payloads inside a JSON parameter cost ten times as much. */
function* insert({ entries }: TableNames, rows: readonly NumberedEntry[]): Steps<void> {
  const placeholders = rows.map(() => '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').join(', ')
  yield* query(
    `INSERT INTO ${entries} (id, partition, aggregate_type, aggregate_id, event_type, sequence, state, occurred_at, headers, payload)
     VALUES ${placeholders}`,
    ...rows.flatMap((entry) => [
      entry.id,
      entry.partition,
      entry.aggregateType,
      entry.aggregateId,
      entry.eventType,
      entry.sequence,
      entry.state,
      entry.occurredAt.getTime(),
      JSON.stringify(entry.headers),
      entry.payload,
    ]),
  )
}

/**
 * After a batch was refused by a unique index: the error that names the sequence at fault; none if it was not a
 * sequence.
 */
export function* conflictIn(
  names: TableNames,
  entries: readonly NewEntry[],
  cause: unknown,
): Steps<ReturnType<typeof sequenceConflict> | undefined> {
  const places = entries.flatMap(({ id, aggregateType, aggregateId, sequence }) =>
    sequence === undefined ? [] : [{ id, aggregateType, aggregateId, sequence }],
  )
  const [taken] = yield* query(
    `SELECT t.key AS place FROM json_each(?) t CROSS JOIN ${names.entries} e
       ON e.aggregate_type = t.value ->> 0 AND e.aggregate_id = t.value ->> 1 AND e.sequence = t.value ->> 2
     WHERE e.id <> t.value ->> 3
     ORDER BY t.key LIMIT 1`,
    JSON.stringify(
      places.map(({ id, aggregateType, aggregateId, sequence }) => [aggregateType, aggregateId, sequence, id]),
    ),
  )
  const conflict = taken ? places[integerOf(taken, 'place')] : twiceIn(places)
  return conflict && sequenceConflict(conflict, { cause })
}

interface Place {
  readonly id: string
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
}

function twiceIn(places: readonly Place[]): Place | undefined {
  const seen = new Map<string, string>()
  return places.find((place) => {
    const key = `${aggregateKey(place)} ${place.sequence}`
    const other = seen.get(key)
    seen.set(key, place.id)
    return other !== undefined && other !== place.id
  })
}
