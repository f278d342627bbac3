import {
  type CallOptions,
  type GrantedLease,
  type LeasedSource,
  OutboxError,
  type Poll,
  partitionCount,
} from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { now } from './content.ts'
import { standingCondition } from './fence.ts'
import { by, byKey, inOrder } from './indexes.ts'
import { layoutVersion } from './layout.ts'
import { givenTable, hexOf, isStorable, numberList, textLiteral, whole } from './literals.ts'
import type { Names } from './names.ts'
import { notesOf } from './notes.ts'
import { booleanIn, numberIn, textIn, textOrNullIn } from './rows.ts'
import type { Session } from './session.ts'

type Request<Method extends 'join' | 'poll' | 'acquire' | 'release'> = Parameters<LeasedSource[Method]>[0]

const allPartitions: readonly number[] = Array.from({ length: partitionCount }, (_, partition) => partition)

/** `LeasedSource.join`. Each of its statements can be repeated, by anybody and at any time. */
export async function join(session: Session, names: Names, request: Request<'join'>): Promise<{ source: string }> {
  const { relays, leases } = names
  checkHolder(request.holder)
  const [counted] = await session.read(`select count(*) as count from ${leases}`, request)
  if (!counted || numberIn(counted, 'count') < partitionCount) {
    const rows = allPartitions.map((partition) => `(${partition})`).join(', ')
    await session.write(
      `insert into ${leases} (\`partition\`) values ${rows} on duplicate key update \`partition\` = \`partition\``,
      request,
    )
  }
  await session.write(
    `insert into ${relays} (holder) values (${textLiteral(request.holder)}) on duplicate key update beat = beat`,
    request,
  )
  const known = await sourceOf(session, names, request)
  return { source: known ?? (await mintSource(session, names, request)) }
}

async function mintSource(session: Session, names: Names, options: CallOptions): Promise<string> {
  // somebody else may do the same at this moment: who comes second changes nothing
  await session.write(
    `insert into ${names.meta} (\`key\`, value) values ('source', '${crypto.randomUUID()}'), ('version', '${layoutVersion}')
    on duplicate key update value = value`,
    options,
  )
  const source = await sourceOf(session, names, options)
  if (source === undefined) throw new TypeError('The name of the outbox is not where it was written.')
  return source
}

async function sourceOf(session: Session, { meta }: Names, options: CallOptions): Promise<string | undefined> {
  const [row] = await session.read(`select value from ${meta} where \`key\` = 'source'`, options)
  return row && textIn(row, 'value')
}

/** What a column of 255 bytes cannot hold would be cut off by a server that is not strict. */
function checkHolder(holder: string): void {
  if (typeof holder === 'string' && holder !== '' && Buffer.byteLength(holder) <= 255 && isStorable(holder)) return
  throw new OutboxError('invalid-option', 'join(): holder must be a text of 1 to 255 bytes.', { option: 'holder' })
}

/** How far `poll` looks into a partition for something that is due. */
const pollWindow = 128

/**
 * `LeasedSource.poll`: writes one row, then reads. What it reads is as old as the beat at most, so whoever is not among
 * the relays had left when it read.
 *
 * Plan: for each partition the front of the index of the scan, and that of the aggregates that are due. What is full is
 * not looked through: it may hide what stands behind it, until a fetch has parked or deleted it.
 */
export async function poll(session: Session, names: Names, request: Request<'poll'>): Promise<Poll> {
  const { entries, aggregates, relays, leases } = names
  const renewed = await session.write(
    `update ${relays} set beat = beat + 1 where holder = ${textLiteral(request.holder)}`,
    request,
  )
  const members = await session.read(`select holder, beat from ${relays} order by holder`, request)
  const scanned = (alias: string): string =>
    `${alias}.\`partition\` = l.\`partition\` and ${alias}.state = 'pending' and ${alias}.place = 'scanned'`
  const rowOf = (alias: string): string =>
    `a.aggregate_type = ${alias}.aggregate_type and a.aggregate_id = ${alias}.aggregate_id`
  const dueRows = `a.\`partition\` = l.\`partition\` and a.blockers = 0 and a.waiting_until <= ${now}`
  const states = await session.read(
    `select l.\`partition\`, l.epoch, l.holder,
  (select e.position from ${entries} e ${by(names, 'entries_scan')}
    where ${scanned('e')}
    order by e.\`partition\`, e.state, e.place, e.position limit 1 offset ${pollWindow}) is not null
  or (select a.\`partition\` from ${aggregates} a ${by(names, 'aggregates_due')}
    where ${dueRows}
    order by a.\`partition\`, a.blockers, a.waiting_until limit 1 offset ${pollWindow}) is not null
  or exists (
    select 1 from ${entries} e ${by(names, 'entries_scan')} left join ${aggregates} a ${byKey} on ${rowOf('e')}
    where ${scanned('e')} and a.aggregate_type is null)
  or exists (
    select 1 from ${entries} e ${by(names, 'entries_scan')} left join ${aggregates} a ${byKey} on ${rowOf('e')}
    where e.\`partition\` = l.\`partition\` and e.state = 'pending' and e.place = 'suspect'
      and (a.aggregate_type is null or (a.blockers = 0 and a.waiting_until <= ${now})))
  or exists (
    select 1 from ${aggregates} a ${by(names, 'aggregates_due')}
    where ${dueRows}
      -- MariaDB would answer an EXISTS here from a table of all that is pending, made anew for each partition
      and (
        select e.sequence from ${entries} e ${by(names, 'entries_order')} where ${rowOf('e')} and e.state = 'pending'
        ${inOrder('e')}) is not null) as is_due
from ${leases} l
order by l.\`partition\``,
    request,
  )
  return {
    isMember: renewed.affectedRows > 0,
    relays: members.map((row) => ({ holder: textIn(row, 'holder'), beat: numberIn(row, 'beat') })),
    leases: states.map((row) => ({
      partition: numberIn(row, 'partition'),
      epoch: numberIn(row, 'epoch'),
      holder: textOrNullIn(row, 'holder'),
    })),
    duePartitions: states.filter((row) => booleanIn(row, 'is_due')).map((row) => numberIn(row, 'partition')),
  }
}

/**
 * `LeasedSource.acquire`: evicts in one statement, grants in another, and reads what was granted.
 *
 * A holder that is absent from the relays stays absent, for no holder joins twice; so it does not matter that the
 * eviction commits first. The grant counts the crashes in the same statement.
 */
export async function acquire(
  session: Session,
  names: Names,
  request: Request<'acquire'>,
): Promise<readonly GrantedLease[]> {
  const { entries, relays, leases } = names
  const { holder, evict } = request
  if (evict.length > 0) {
    const seen = evict.map((relay) => [hexOf(relay.holder), relay.beat] as const)
    const given = givenTable(
      'seen',
      { holder: 'hex', beat: 'integer' },
      seen.toSorted(([a], [b]) => (a < b ? -1 : 1)),
    )
    await session.write(
      `delete r from ${given} straight_join ${relays} r ${byKey} on r.holder = unhex(seen.holder) and r.beat = seen.beat`,
      request,
    )
  }
  if (request.claims.length === 0) return []
  const claims = request.claims.toSorted((a, b) => a.partition - b.partition)
  const columns = { of_partition: 'integer', seen_epoch: 'integer', above: 'integer' } as const
  const rows = claims.map(({ partition, epoch, above = 0 }) => [partition, epoch, above] as const)
  const isMember = (of: string): string => `(select count(*) from ${relays} r where r.holder = ${of})`
  await session.write(
    `update ${givenTable('claim', columns, rows)}
straight_join ${leases} l ${byKey} on l.\`partition\` = claim.of_partition and l.epoch = claim.seen_epoch
left join json_table(${notesOf('l')}, '$[*]' columns (position bigint unsigned path '$')) noted on true
-- whoever had these in hand never said what became of them; a released lease has no such notes
left join ${entries} e ${byKey} on e.position = noted.position and e.state = 'pending'
set l.holder = ${textLiteral(holder)}, l.epoch = greatest(l.epoch, claim.above) + 1, l.in_flight = '[]',
  -- the place first: it goes by the crashes that there were before
  e.place = if(e.crashes >= ${suspectAt - 1}, 'suspect', e.place), e.crashes = e.crashes + 1
where ${isMember(textLiteral(holder))} = 1 and (l.holder is null or ${isMember('l.holder')} = 0)`,
    request,
  )
  const granted = claims.map(({ partition, epoch, above = 0 }) => ({
    partition,
    epoch: Math.max(epoch, above) + 1,
    holder,
  }))
  const held = await session.read(
    `select l.\`partition\`,
  (select e.crashes from ${entries} e ${by(names, 'entries_scan')}
    where e.\`partition\` = l.\`partition\` and e.state = 'pending' and e.place = 'suspect'
    limit 1) is not null as has_suspects
from ${leases} l
where ${standingCondition(granted)}
order by l.\`partition\``,
    request,
  )
  const suspected = new Map(held.map((row) => [numberIn(row, 'partition'), booleanIn(row, 'has_suspects')]))
  return granted.flatMap((lease) => {
    const hasSuspects = suspected.get(lease.partition)
    return hasSuspects === undefined ? [] : { ...lease, hasSuspects }
  })
}

/** `LeasedSource.release`. The leases go first: a holder that has left holds nothing that is not free. */
export async function release(session: Session, names: Names, request: Request<'release'>): Promise<void> {
  const { relays, leases } = names
  const own = request.leases.filter((lease) => lease.holder === request.holder)
  if (own.length > 0) {
    const partitions = numberList(own.map(({ partition }) => whole(partition)))
    await session.write(
      `update ${leases} ${byKey} set holder = null, in_flight = '[]'
      where \`partition\` in ${partitions} and ${standingCondition(own)}`,
      request,
    )
  }
  if (request.leave) await session.write(`delete from ${relays} where holder = ${textLiteral(request.holder)}`, request)
}
