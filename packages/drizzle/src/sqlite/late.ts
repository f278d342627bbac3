import type { EntryContent } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { aggregateOf } from './aggregates.ts'
import type { TableNames } from './names.ts'
import { integerOf, textOf } from './rows.ts'
import { query, type Steps } from './steps.ts'

/** How far above the lowest entry lent it looks. */
const window = 64

/**
 * The highest published sequence of each aggregate, as far as it shows that an entry lent came late.
 *
 * Only types that the caller numbers are looked at: where the store does, no entry can come late. The database has one
 * writer, so positions ascend as transactions commit: an entry is late if a higher sequence has a lower position and
 * is published.
 *
 * Plan: the window is read from the unique index alone; rows are looked up only where positions do not ascend.
 */
export function* publishedAbove(
  { entries, meta }: TableNames,
  lent: readonly { readonly content: EntryContent; readonly position: number }[],
): Steps<ReadonlyMap<string, number>> {
  const keys = yield* query(
    `SELECT substr(key, ?) AS aggregate_type FROM ${meta}
     WHERE key >= 'sequence-source:' AND key < 'sequence-source;' AND value = 'caller'`,
    'sequence-source:'.length + 1,
  )
  const types = new Set(keys.map((row) => textOf(row, 'aggregate_type')))
  const heads = new Map<string, { readonly content: EntryContent; position: number }>()
  for (const { content, position } of lent) {
    const head = heads.get(aggregateKey(content))
    if (head) head.position = Math.max(head.position, position)
    else if (types.has(content.aggregateType)) heads.set(aggregateKey(content), { content, position })
  }
  if (heads.size === 0) return new Map()
  const windows = [...heads.values()].map(({ content, position }) => [
    content.aggregateType,
    content.aggregateId,
    content.sequence,
    position,
  ])
  const rows = yield* query(
    `SELECT e.aggregate_type, e.aggregate_id, max(e.sequence) AS sequence
     FROM json_each(?) w CROSS JOIN ${entries} e ON e.position IN (
       SELECT position FROM (
         SELECT position FROM ${entries}
         WHERE aggregate_type = w.value ->> 0 AND aggregate_id = w.value ->> 1 AND sequence > w.value ->> 2
         ORDER BY sequence LIMIT ?)
       WHERE position < w.value ->> 3)
     WHERE e.state = 'published'
     GROUP BY e.aggregate_type, e.aggregate_id`,
    JSON.stringify(windows),
    window,
  )
  return new Map(rows.map((row) => [aggregateKey(aggregateOf(row)), integerOf(row, 'sequence')]))
}
