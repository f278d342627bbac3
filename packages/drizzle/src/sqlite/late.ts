import { aggregateKey } from '@outbox/core/adapter'
import { type AggregateName, aggregateOf } from './aggregates.ts'
import type { TableNames } from './names.ts'
import { integerOf, textOf } from './rows.ts'
import { beyondAll } from './sql.ts'
import { query, type Row, type Steps } from './steps.ts'

/** How far above the lowest entry lent it looks. */
const window = 64

interface Lent extends AggregateName {
  readonly sequence: number
  readonly position: number
}

/**
 * The positions of those entries lent that came late, when a higher sequence of their aggregate had been published.
 *
 * Only types that the caller numbers are looked at: where the store does, no entry can come late. A requeued entry was
 * there in time: it died, and others were let past.
 */
export function* latePositions(names: TableNames, rows: readonly Row[]): Steps<ReadonlySet<number>> {
  const types = yield* typesNumberedByCallers(names)
  const inQuestion = rows.filter((row) => types.has(textOf(row, 'aggregate_type')) && integerOf(row, 'requeues') === 0)
  if (inQuestion.length === 0) return new Set()
  const lent = inQuestion.map((row) => ({
    ...aggregateOf(row),
    sequence: integerOf(row, 'sequence'),
    position: integerOf(row, 'position'),
  }))
  const published = yield* publishedAbove(names, lent)
  const late = lent.filter((entry) => entry.sequence < (published.get(aggregateKey(entry)) ?? -1))
  return new Set(late.map(({ position }) => position))
}

function* typesNumberedByCallers({ meta }: TableNames): Steps<ReadonlySet<string>> {
  const keys = yield* query(
    `SELECT substr(key, ?) AS aggregate_type FROM ${meta}
     WHERE key >= 'sequence-source:' AND key < 'sequence-source;' AND value = 'caller'`,
    'sequence-source:'.length + 1,
  )
  return new Set(keys.map((row) => textOf(row, 'aggregate_type')))
}

/**
 * The highest published sequence of each aggregate, as far as it shows that an entry lent came late.
 *
 * The database has one writer, so positions ascend as transactions commit: an entry is late if a higher sequence has a
 * lower position and is published.
 *
 * Plan: the window is read from the unique index alone; rows are looked up only where positions do not ascend.
 */
function* publishedAbove(names: TableNames, lent: readonly Lent[]): Steps<ReadonlyMap<string, number>> {
  const { entries, entriesBySequence, settled } = names
  const heads = new Map<string, { readonly head: Lent; position: number }>()
  for (const entry of lent) {
    const known = heads.get(aggregateKey(entry))
    if (known) known.position = Math.max(known.position, entry.position)
    else heads.set(aggregateKey(entry), { head: entry, position: entry.position })
  }
  const windows = [...heads.values()].map(({ head, position }) => [
    head.aggregateType,
    head.aggregateId,
    head.sequence,
    position,
  ])
  const rows = yield* query(
    `SELECT e.aggregate_type, e.aggregate_id, max(e.sequence) AS sequence
     FROM json_each(?) w CROSS JOIN ${entries} e INDEXED BY ${entriesBySequence}
       ON e.aggregate_type = w.value ->> 0 AND e.aggregate_id = w.value ->> 1 AND e.sequence > w.value ->> 2
       AND e.sequence <= ifnull((
         SELECT sequence FROM ${entries} INDEXED BY ${entriesBySequence}
         WHERE aggregate_type = w.value ->> 0 AND aggregate_id = w.value ->> 1 AND sequence > w.value ->> 2
         ORDER BY sequence LIMIT 1 OFFSET ?), ${beyondAll})
     WHERE e.position < w.value ->> 3
       AND (SELECT outcome FROM ${settled} WHERE position = e.position) = 'published'
     GROUP BY e.aggregate_type, e.aggregate_id`,
    JSON.stringify(windows),
    window - 1,
  )
  return new Map(rows.map((row) => [aggregateKey(aggregateOf(row)), integerOf(row, 'sequence')]))
}
