import type { NewEntry } from '@outbox/core'
import { aggregateKey, groupedBy } from '@outbox/core/adapter'
import type { InsertOptions } from './insert.ts'
import { currentSlot } from './log/enqueue.ts'
import { everybodysOrigin, signal } from './signals.ts'
import { arrayOf, type Statement, type Value } from './statement.ts'

/** More of them than that in a batch are out of the ordinary. */
const mostTypes = 4

/**
 * The insert of an ordinary batch: all entries are new, all are numbered by the store or all by the caller, and that is
 * how their types are numbered so far; in the log, none comes late. Of any other batch it writes nothing and gives no
 * row; the whole insert knows why. One exception: in the table, with callers' numbers, the new
 * entries of a batch are written although others are known already, since no counter has moved for those.
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
  options: InsertOptions,
  batch: readonly NewEntry[],
  isOpen: string,
): Statement | undefined {
  const types = new Set(batch.map(({ aggregateType }) => aggregateType))
  const isNumbered = batch[0]?.sequence !== undefined
  if (types.size === 0 || types.size > mostTypes) return undefined
  if (batch.some(({ sequence }) => (sequence !== undefined) !== isNumbered)) return undefined

  const binding = bindingFor(batch)
  const groups = [...groupedBy(batch, aggregateKey).values()]
  const condition = [isOpen, ...ordinaryConditions(options, binding, [...types], isNumbered)].join('\n    and ')
  const { names, toLog, notifies } = options
  const before = [
    ...(toLog ? [currentSlot(names.log_slot)] : []),
    ...(isNumbered ? [] : [counted(names.sequences, binding, groups, condition)]),
  ]
  const { column } = binding
  const text = `
${before.length > 0 ? `with ${before.join(',\n')}` : ''}
insert into ${toLog ? names.log : names.entries}
  (${toLog ? 'slot, ' : ''}id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at)
select ${toLog ? '(select slot from current), ' : ''}id, partition, aggregate_type, aggregate_id, event_type,
  ${isNumbered ? 'number' : 'last_sequence - number'}, payload::json, headers::json, occurred_at
from ${binding.table('given', {
    id: ['uuid', column('id')],
    partition: ['smallint', column('partition')],
    aggregate_type: ['text', column('aggregateType')],
    aggregate_id: ['text', column('aggregateId')],
    event_type: ['text', column('eventType')],
    number: ['bigint', isNumbered ? column('sequence').map(Number) : stillToCome(groups)],
    payload: ['text', column('payload')],
    headers: ['text', column('headers').map((headers) => JSON.stringify(headers))],
    occurred_at: ['timestamptz', isoTimes(column('occurredAt'))],
  })}
${isNumbered ? `where ${condition}` : 'join counted using (aggregate_type, aggregate_id)'}
order by nth
on conflict (id${toLog ? ', slot' : ''}) do nothing
returning id::text as key, sequence::text as sequence, (select pg_current_xact_id()::text) as open${
    notifies
      ? `,
  (select pg_notify('${names.channel}', '${signal(everybodysOrigin, column('partition'))}')::text) as notified`
      : ''
  }`
  return { text, values: binding.values }
}

/** SQL conditions. In the log each probe is limited: a nested loop over indexes, whatever the planner expects. */
function ordinaryConditions(
  { names, toLog }: InsertOptions,
  { bind, column, table }: Binding,
  types: readonly string[],
  isNumbered: boolean,
): readonly string[] {
  const ids = (): string => table('given', { id: ['uuid', column('id')] })
  const areDeclared = types.map(
    (type) => `exists (
      select from ${names.meta}
      where key = 'sequence-source:' || ${bind(type)} and value = '${isNumbered ? 'caller' : 'store'}')`,
  )
  const areNew = `not exists (select from ${ids()} join ${names.entries} e using (id))`
  if (!toLog && isNumbered) return areDeclared
  if (!toLog) return [...areDeclared, areNew]
  const areNewInLog = `not exists (
      select from ${ids()} cross join lateral (select from ${names.log} l where l.id = given.id limit 1) l)`
  const isAbove = (rows: string): string => `not exists (
      select from ${table('given', {
        aggregate_type: ['text', column('aggregateType')],
        aggregate_id: ['text', column('aggregateId')],
        number: ['bigint', column('sequence').map(Number)],
      })}
      cross join lateral (
        select from ${rows} r
        where r.aggregate_type = given.aggregate_type and r.aggregate_id = given.aggregate_id and r.sequence >= number
        limit 1
      ) r)`
  const areAbove = isNumbered ? [isAbove(names.log), isAbove(names.entries)] : []
  return [...areDeclared, areNew, areNewInLog, 'not (select is_older from current)', ...areAbove]
}

/** The entries of each aggregate. Put together they are the batch: it is in the order to write it. */
type Groups = readonly (readonly NewEntry[])[]

/** A CTE: the last numbers of the batch's aggregates. Their rows are locked in its order, the same for everybody. */
function counted(sequences: string, { table }: Binding, groups: Groups, condition: string): string {
  const firsts = groups.flatMap(([first]) => first ?? [])
  return `counted as (
  insert into ${sequences} as s (aggregate_type, aggregate_id, last_sequence)
  select aggregate_type, aggregate_id, entries
  from ${table('of_aggregate', {
    aggregate_type: ['text', firsts.map(({ aggregateType }) => aggregateType)],
    aggregate_id: ['text', firsts.map(({ aggregateId }) => aggregateId)],
    entries: ['bigint', groups.map(({ length }) => length)],
  })}
  where ${condition}
  order by nth
  on conflict (aggregate_type, aggregate_id) do update set last_sequence = s.last_sequence + excluded.last_sequence
  returning s.aggregate_type, s.aggregate_id, s.last_sequence
)`
}

/** How many of the same aggregate come after each entry. */
function stillToCome(groups: Groups): readonly number[] {
  return groups.flatMap(({ length }) => Array.from({ length }, (_, nth) => length - 1 - nth))
}

/** Most events of a batch happened in the same millisecond, and to write a time costs as much as to write its event. */
function isoTimes(times: readonly Date[]): readonly string[] {
  const written = new Map<number, string>()
  return times.map((time) => {
    const text = written.get(time.getTime()) ?? time.toISOString()
    written.set(time.getTime(), text)
    return text
  })
}

interface Binding {
  readonly values: readonly Value[]
  /** SQL that stands for the value */
  readonly bind: (value: Value) => string
  readonly column: <Name extends keyof NewEntry>(name: Name) => readonly NewEntry[Name][]
  /** SQL for a table of columns of one length, which counts its rows in the column `nth` */
  readonly table: (alias: string, columns: Readonly<Record<string, Column>>) => string
}

/** U+001F: names must not contain it, JSON has it as an escape only. So no text is to be escaped, and JSON has much. */
const separator = '\u001f'

/** the type in SQL, and a value for each row */
type Column = readonly [type: string, values: readonly (string | number)[]]

function bindingFor(batch: readonly NewEntry[]): Binding {
  const values: Value[] = []
  const bind = (value: Value): string => `$${values.push(value)}`
  return {
    values,
    bind,
    column: (name) => batch.map((entry) => entry[name]),
    table(alias, columns) {
      const all = Object.values(columns)
      const named = `${alias} (${Object.keys(columns).join(', ')}, nth)`
      if (all.some(([, { length }]) => length !== 1)) {
        const arrays = all.map(([type, rows]) =>
          type === 'text'
            ? `string_to_array(${bind(rows.join(separator))}, chr(31))`
            : `${bind(arrayOf(rows))}::${type}[]`,
        )
        return `unnest(${arrays.join(', ')}) with ordinality as ${named}`
      }
      // of a single row the planner makes constants
      const row = all.flatMap(([type, rows]) => rows.map((value) => `${bind(String(value))}::${type}`))
      return `(values (${row.join(', ')}, 1)) as ${named}`
    },
  }
}
