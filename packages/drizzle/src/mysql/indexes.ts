import { type Names, quoted } from './names.ts'

type IndexName =
  | 'entries_id'
  | 'entries_sequence'
  | 'entries_scan'
  | 'entries_order'
  | 'entries_settled'
  | 'aggregates_due'
  | 'inbox_handled'

/**
 * SQL that leaves the optimizer no other way than this index.
 *
 * On a small table it would rather read all rows; a statement that writes then locks all of them, those of open
 * transactions of producers among them, and waits.
 */
export function by({ prefix }: Names, index: IndexName): string {
  return `force index (${quoted(`${prefix}${index}`)})`
}

/** As `by`, for the primary key. */
export const byKey = 'force index (primary)'

/**
 * A hint for the optimizer that MySQL has by default. The other one, which 9.7 can be set to, reads forced indexes from
 * end to end to join them by hashes, and a statement that writes locks all of that. Elsewhere this is a comment.
 */
export const usualPlan = `/*+ set_var(optimizer_switch = 'hypergraph_optimizer=off') */`

/**
 * The first of a range in the order of the index `entries_order`, in a query that looks it up for each row of another:
 * MySQL would sort the whole range if the columns that are equal in it were left out here.
 */
export function inOrder(alias: string, direction: '' | ' desc' = ''): string {
  const columns = ['aggregate_type', 'aggregate_id', 'state', 'sequence']
  return `order by ${columns.map((column) => `${alias}.${column}${direction}`).join(', ')} limit 1`
}

/** One range of an index for each of several partitions: a query for each, in a row. */
export function forEachPartition(partitions: readonly number[], query: (partition: number) => string): string {
  return partitions.map((partition) => `(${query(partition)})`).join('\nunion all\n')
}
