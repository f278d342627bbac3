import { partitionCount } from '@outbox/core'

/*
 * Plans. The planner goes by statistics of some other moment: of a partition, or an aggregate, it expects next to nothing
 * or millions, and neither says what is there now. So no statement lets it choose by that. And what it takes for dear it
 * compiles first (JIT), for a second at each call, so it is not to expect much either.
 */

/** SQL for rows in the order of an index, from its beginning. */
export interface Beginning extends Extent {
  readonly columns?: string
  /** a table, and its alias */
  readonly from: string
  readonly where: string
  readonly orderBy: string
  readonly offset?: string
}

/** How many rows are wanted. */
export interface Extent {
  /** SQL for a number, if it is not one; by default all, for a reader who stops */
  readonly limit?: number | string
  /** how many at most, whatever the limit says */
  readonly most?: number
}

/**
 * SQL for the first rows in the order of an index.
 *
 * Where the planner expects no more than the limit, it may as well find all that is there, and sort it. So it is not told
 * the limit, of which it makes a tenth of all; and where it expects a single row, a join makes ten of it.
 */
export function beginning({ columns = '', from, where, orderBy, offset, ...extent }: Beginning): string {
  return beginningOf(
    `select ${columns}
    from ${from} cross join unnest(array(select 1)) once
    where ${where}
    order by ${orderBy}`,
    extent,
    offset,
  )
}

/** The same, of a query that ends with its order, and of which the planner expects many rows in any case. */
export function beginningOf(rows: string, { limit = noLimit, most }: Extent, offset?: string): string {
  const read = `${rows} limit (select ${limit})${offset === undefined ? '' : ` offset ${offset}`}`
  // that done, it is told how few come of it
  if (typeof limit === 'number') return `select * from (${read}) read limit ${limit}`
  return fewer(most === undefined ? fewer(read) : `select * from (${read}) read limit ${most}`)
}

const noLimit = 'null::bigint'

/** SQL for the same rows, of which the planner expects a tenth: that is what it makes of a limit that it does not know. */
export function fewer(rows: string): string {
  return `select * from (${rows}) all_of_them limit (select ${noLimit})`
}

/** SQL: whether there is any such row. A limit right inside of `exists` would be dropped, and the order with it. */
export function isAny(rows: Omit<Beginning, 'columns' | 'limit'>): string {
  return `exists (select from (${beginning({ ...rows, limit: 1 })}) first)`
}

/**
 * SQL: whether there is a row with these values, to be asked of each of many: a look into an index.
 *
 * Left to itself the planner may join instead, or make a hash of the whole table, for each partition anew; and of a table
 * that it knows as small it reads all each time. So this, too, is the beginning of an index.
 *
 * @param from - a table, and its alias, which is none that the values name
 * @param key - the columns of an index, and SQL for their values
 * @param more - SQL: a further condition
 */
export function isThere(from: string, key: Readonly<Record<string, string>>, more: string = 'true'): string {
  const columns = Object.entries(key)
  const last = columns.length - 1
  const where = columns.map(([column, value], nth) =>
    nth < last ? `${column} = ${value}` : `${column} >= ${value} and ${column} <= ${value}`,
  )
  return isAny({ from, where: [...where, more].join(' and '), orderBy: columns[last]?.[0] ?? '' })
}

/**
 * SQL: whether the aggregate of `of` is among those that a subquery gives.
 *
 * `is true` keeps the planner from a join, and one that expects a single row of each side from comparing all with all:
 * a hash is made of what is given. Not for the condition of an update or a delete: where that meets a row that changed
 * meanwhile, PostgreSQL would run the subquery again, and refuses to run one that writes.
 */
export function isAmong(of: string, aggregates: string): string {
  return `((${of}.aggregate_type, ${of}.aggregate_id) in (${aggregates})) is true`
}

/** SQL for a table of all partitions, of which the planner expects few: so work that is done for each is not counted dear. */
export const everyPartition: string = `(${fewer(
  fewer(`select partition from generate_series(0, ${partitionCount - 1}) as every (partition)`),
)})`

/**
 * SQL: true of every number that is not null. Of what lies between two bounds that it does not know the planner expects
 * next to nothing: then an index that has the column is cheaper than the whole table.
 */
export function isAnyNumber(column: string): string {
  return `${column} >= (select 0) and ${column} <= (select 9223372036854775807)`
}
