import type { NewEntry } from '@outbox/core'
import { aggregateKey, groupedBy } from '@outbox/core/adapter'
import type { InsertOptions } from './insert.ts'
import { currentSlot } from './log/enqueue.ts'
import { signal } from './signals.ts'
import { arrayOf, type Statement, type Value } from './statement.ts'

/** More of them than that in a batch are out of the ordinary. */
const mostTypes = 4

/**
 * The insert of an ordinary batch: all entries are new, all are numbered by the store or all by the caller, and that is
 * how their types are numbered so far. Of any other batch it writes nothing and gives no row; the whole insert knows why.
 *
 * PostgreSQL plans an insert each time (`OpenCheck`), and the whole one costs it several times what a plain insert of
 * one entry does.
 *
 * Rows come back as (key, sequence, open): an entry's id and number, and the transaction's id.
 *
 * @param isOpen - SQL: a condition without which nothing is written
 * @returns undefined for a batch that is known to be out of the ordinary
 */
export function ordinaryInsert(
  { names, toLog, notifies }: InsertOptions,
  batch: readonly NewEntry[],
  isOpen: string,
): Statement | undefined {
  const isNumbered = batch[0]?.sequence !== undefined
  const types = new Set(batch.map(({ aggregateType }) => aggregateType))
  if (types.size === 0 || types.size > mostTypes) return undefined
  if (batch.some(({ sequence }) => (sequence !== undefined) !== isNumbered)) return undefined
  // a number of the caller's may come below another of its aggregate: that is for the whole insert to find out
  if (toLog && isNumbered) return undefined

  const { values, bind, table } = binding()
  const column = <Name extends keyof NewEntry>(name: Name): NewEntry[Name][] => batch.map((entry) => entry[name])
  const ids = (): string => table('given', { id: ['uuid', column('id')] })
  const isDeclared = (type: string): string => `exists (
      select from ${names.meta}
      where key = 'sequence-source:' || ${bind(type)} and value = '${isNumbered ? 'caller' : 'store'}')`
  // in the log each probe is limited: a nested loop over indexes, whatever the planner expects
  const isOrdinary = `${isOpen}
    and ${[...types].map(isDeclared).join('\n    and ')}
    and not exists (select from ${ids()} join ${names.entries} e using (id))${
      toLog
        ? `
    and not exists (
      select from ${ids()} cross join lateral (select from ${names.log} l where l.id = given.id limit 1) l)
    and not (select is_older from current)`
        : ''
    }`

  // each whole and in a row: a batch is in the order to write it
  const ofAggregate = [...groupedBy(batch, aggregateKey).values()]
  const firsts = ofAggregate.flatMap(([first]) => first ?? [])
  // The counters' rows are locked in the order of the batch, which is the same for everybody.
  const counted = (): string => `counted as (
  insert into ${names.sequences} as s (aggregate_type, aggregate_id, last_sequence)
  select aggregate_type, aggregate_id, entries
  from ${table('of_aggregate', {
    aggregate_type: ['text', firsts.map(({ aggregateType }) => aggregateType)],
    aggregate_id: ['text', firsts.map(({ aggregateId }) => aggregateId)],
    entries: ['bigint', ofAggregate.map(({ length }) => length)],
  })}
  where ${isOrdinary}
  order by nth
  on conflict (aggregate_type, aggregate_id) do update set last_sequence = s.last_sequence + excluded.last_sequence
  returning s.aggregate_type, s.aggregate_id, s.last_sequence
)`
  const numbers = isNumbered
    ? column('sequence').map(Number)
    : ofAggregate.flatMap(({ length }) => Array.from({ length }, (_, nth) => length - 1 - nth))
  const text = `
${isNumbered ? '' : `with ${toLog ? currentSlot(names.log_slot) : ''}${counted()}`}
insert into ${toLog ? names.log : names.entries}
  (${toLog ? 'slot, ' : ''}id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at)
select ${toLog ? '(select slot from current), ' : ''}id, partition, aggregate_type, aggregate_id, event_type,
  ${isNumbered ? 'number' : 'last_sequence - number'}, payload, headers, occurred_at
from ${table('given', {
    id: ['uuid', column('id')],
    partition: ['smallint', column('partition')],
    aggregate_type: ['text', column('aggregateType')],
    aggregate_id: ['text', column('aggregateId')],
    event_type: ['text', column('eventType')],
    number: ['bigint', numbers],
    payload: ['json', column('payload')],
    headers: ['json', column('headers').map((headers) => JSON.stringify(headers))],
    occurred_at: ['timestamptz', column('occurredAt').map((time) => time.toISOString())],
  })}
${isNumbered ? `where ${isOrdinary}` : 'join counted using (aggregate_type, aggregate_id)'}
order by nth
on conflict (id${toLog ? ', slot' : ''}) do nothing
returning id::text as key, sequence::text as sequence, (select pg_current_xact_id()::text) as open${
    notifies
      ? `,
  (select pg_notify('${names.channel}', '${signal('in_transaction', column('partition'))}')::text) as notified`
      : ''
  }`
  return { text, values }
}

interface Binding {
  readonly values: readonly Value[]
  /** SQL that stands for the value */
  bind(value: Value): string
  /** SQL for a table of columns of one length, which counts its rows in the column `nth` */
  table(alias: string, columns: Readonly<Record<string, Column>>): string
}

/** the type in SQL, and a value for each row */
type Column = readonly [type: string, values: readonly (string | number)[]]

function binding(): Binding {
  const values: Value[] = []
  const bind = (value: Value): string => `$${values.push(value)}`
  return {
    values,
    bind,
    table(alias, columns) {
      const all = Object.values(columns)
      const named = `${alias} (${Object.keys(columns).join(', ')}, nth)`
      if (all.some(([, { length }]) => length !== 1)) {
        const arrays = all.map(([type, rows]) => `${bind(arrayOf(rows))}::${type}[]`)
        return `unnest(${arrays.join(', ')}) with ordinality as ${named}`
      }
      // of a single row the planner makes constants
      const row = all.flatMap(([type, rows]) => rows.map((value) => `${bind(String(value))}::${type}`))
      return `(values (${row.join(', ')}, 1)) as ${named}`
    },
  }
}
