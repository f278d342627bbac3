import type { NewEntry } from '@outbox/core'
import { currentSlot, logTarget } from './log/enqueue.ts'
import type { Names } from './names.ts'
import { everybodysOrigin, signal } from './signals.ts'
import { arrayOf, type Statement } from './statement.ts'

export interface InsertOptions {
  readonly names: Names
  /** entries are appended to the log, not written into the table `entries` */
  readonly toLog: boolean
  /** a notification in the caller's transaction: PostgreSQL delivers it at commit */
  readonly notifies: boolean
}

/**
 * The insert of any batch; it tells what it met.
 *
 * Rows come back as (kind, key, sequence): `open` with the transaction's id unless the check failed, `mixed` with an
 * aggregate type that is numbered the other way, `new` and `known` with an entry's id. In
 * the log also `taken` with the id of an entry whose number another has, and `stale` with the slot, where the snapshot is
 * too old. `notified` is to be ignored.
 */
export function wholeInsert(
  { names, toLog, notifies }: InsertOptions,
  batch: readonly NewEntry[],
  isOpen: string,
): Statement {
  const { entries, log, log_slot, sequences, meta, channel } = names
  const target = toLog ? logTarget(names) : undefined
  const numbering = new Map(
    batch.map((entry) => [entry.aggregateType, entry.sequence === undefined ? 'store' : 'caller']),
  )
  // a producer that gives every sequence itself needs no right to the counters
  const assigned = batch.some(({ sequence }) => sequence === undefined) ? counters(sequences) : undefined
  const columns = 'id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at'
  const numbered = `f.id, f.partition, f.aggregate_type, f.aggregate_id, f.event_type,
    ${assigned?.sequence ?? 'f.sequence'} as sequence,
    f.payload::json as payload, f.headers::json as headers, f.occurred_at::timestamptz as occurred_at`
  const written = `written as (
  insert into ${entries}
    (${columns})
  select ${numbered}
  from fresh f ${assigned?.joined ?? ''}
  order by f.nth
  on conflict (id) do nothing
  returning id, sequence
)`
  // What comes below another entry of its aggregate stands aside from the beginning: in the log, sequences ascend.
  const appended = `written as (
  insert into ${log}
    (slot, ${columns})
  select (select slot from current), ${numbered}
  from fresh f ${assigned?.joined ?? ''}
  where ${target?.isFree}
  order by min(f.nth) over (partition by f.aggregate_type, f.aggregate_id), f.sequence, f.nth
  on conflict (id, slot) do nothing
  returning id, sequence, position
),
aside as (
  insert into ${entries} (position, ${columns}) overriding system value
  select w.position, ${numbered}
  from written w join fresh f using (id) ${assigned?.joined ?? ''}
  where ${target?.isLate('f')}
  order by w.position
)`
  const text = `
with given as materialized (
  select *
  from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
    $9::text[]) with ordinality as given
    (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at, nth)
  where ${isOpen}
),
known as materialized (
  select e.id, e.sequence from ${entries} e join given using (id)${target?.known ?? ''}
),
-- How each aggregate type is numbered is written down once, by its first transaction. Others only read it: no lock
-- on it is ever held by two producers. What is known already is a duplicate, however it is numbered this time.
numbering as materialized (
  select t.aggregate_type, t.numbered_by, m.value as written
  from unnest($10::text[], $11::text[]) as t (aggregate_type, numbered_by)
  left join ${meta} m on m.key = 'sequence-source:' || t.aggregate_type
  where exists (
    select from given g
    where g.aggregate_type = t.aggregate_type and not exists (select from known where known.id = g.id))
),
declared as (
  insert into ${meta} (key, value)
  select 'sequence-source:' || aggregate_type, numbered_by
  from numbering
  where written is null and not exists (select from numbering where written <> numbered_by)
  order by aggregate_type
  on conflict do nothing
  returning key
),
-- false as well if another transaction declares a type at this moment: nothing is written, and this runs again
agreed as materialized (
  select (select count(*) from declared) + (select count(*) from numbering where written = numbered_by)
    = (select count(*) from numbering) as holds
),
fresh as materialized (
  select g.*, count(*) over of_aggregate as of_batch, row_number() over (of_aggregate order by g.nth) as nth_of_batch
  from given g
  where (select holds from agreed) and not exists (select from known where known.id = g.id)
  window of_aggregate as (partition by g.aggregate_type, g.aggregate_id)
),
${target ? `${currentSlot(log_slot)},\n` : ''}${target?.taken ?? ''}${assigned?.counted ?? ''}${target ? appended : written}
select 'open' as kind, pg_current_xact_id()::text as key, null as sequence where exists (select from given)
union all
select 'mixed', aggregate_type, null from numbering where written <> numbered_by
union all
select 'new', id::text, sequence::text from written
union all
select 'known', id::text, sequence::text from known${target?.takenRows ?? ''}${
    notifies
      ? `\nunion all\nselect 'notified', pg_notify('${channel}', '${signal(
          everybodysOrigin,
          batch.map(({ partition }) => partition),
        )}')::text, null where exists (select from written)`
      : ''
  }`
  const column = <Name extends keyof NewEntry>(name: Name): NewEntry[Name][] => batch.map((entry) => entry[name])
  return {
    text,
    values: [
      arrayOf(column('id')),
      arrayOf(column('partition')),
      arrayOf(column('aggregateType')),
      arrayOf(column('aggregateId')),
      arrayOf(column('eventType')),
      arrayOf(column('sequence').map((sequence) => sequence ?? null)),
      arrayOf(column('payload')),
      arrayOf(column('headers').map((headers) => JSON.stringify(headers))),
      arrayOf(column('occurredAt').map((time) => time.toISOString())),
      arrayOf(numbering.keys()),
      arrayOf(numbering.values()),
    ],
  }
}

/** The parts of the statement that number entries. */
function counters(sequences: string): Readonly<Record<'counted' | 'joined' | 'sequence', string>> {
  return {
    counted: `-- The counters' rows stay locked until the transaction ends, so the order of numbers is the order of commits. They
-- are locked in the order of the batch, which is the same for everybody.
counted as (
  insert into ${sequences} as s (aggregate_type, aggregate_id, last_sequence)
  select aggregate_type, aggregate_id, of_batch from fresh where sequence is null and nth_of_batch = 1 order by nth
  on conflict (aggregate_type, aggregate_id) do update set last_sequence = s.last_sequence + excluded.last_sequence
  returning s.aggregate_type, s.aggregate_id, s.last_sequence
),
`,
    joined: `left join counted c
    on c.aggregate_type = f.aggregate_type and c.aggregate_id = f.aggregate_id and f.sequence is null`,
    sequence: 'coalesce(f.sequence, c.last_sequence - f.of_batch + f.nth_of_batch)',
  }
}
