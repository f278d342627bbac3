import type { CallOptions } from '@outbox/core'
import { setupRequired } from '../check.ts'
import type { Names } from '../names.ts'
import { booleanIn, textIn } from '../rows.ts'
import type { Session } from '../session.ts'
import { literal } from '../statement.ts'
import { allCursors, standsAside, unpassedRows } from './cursor.ts'
import { positionSequence } from './tables.ts'

/**
 * Which server counts the transactions: a physical copy has the same, a restored dump has not.
 *
 * @returns undefined where the role may not ask
 */
export async function serverIdentity(session: Session, options?: CallOptions): Promise<string | undefined> {
  // Two statements: PostgreSQL looks for the right to a function when a statement begins, whether or not it is reached.
  const right = `select has_function_privilege('pg_control_system()', 'execute') as may_ask`
  const [row] = await session.run({ text: right, values: [] }, options)
  if (!row || !booleanIn(row, 'may_ask')) return undefined
  const asked = 'select system_identifier::text as identity from pg_control_system()'
  const [server] = await session.run({ text: asked, values: [] }, options)
  return server && textIn(server, 'identity')
}

/**
 * SQL: whether the log's transaction ids were given by another server. Where one of the two does not tell who it is, ids
 * that this one has not given yet tell.
 */
export function isOfAnother({ meta, log_cursors }: Names, identity: string | undefined): string {
  const isNoted =
    identity === undefined
      ? 'false'
      : `exists (select from ${meta} where key = 'log-server' and value <> ${literal(identity)})`
  return `(${isNoted}
  or exists (
    select from ${log_cursors} c
    where pg_snapshot_xmax(c.until) > pg_snapshot_xmax(pg_current_snapshot())))`
}

/**
 * Whether the log's transaction ids were given by this server.
 *
 * They mean nothing on another: a dump that was restored there, or a table that was replicated, keeps the old numbers.
 *
 * @throws {OutboxError} `setup-required`
 */
export async function checkServer(session: Session, names: Names, options?: CallOptions): Promise<void> {
  const text = `select ${isOfAnother(names, await serverIdentity(session, options))} as is_foreign`
  const [row] = await session.run({ text, values: [] }, options)
  if (!row || !booleanIn(row, 'is_foreign')) return
  throw setupRequired(
    'The log of the outbox comes from another server of PostgreSQL: it was restored from a dump, or replicated; or this server was made by pg_upgrade.',
    ['transaction ids of this server in the log'],
    `Stop all relays, and run emptyLog(db): it keeps every entry, also what was enqueued here meanwhile, and reorders nothing. After pg_upgrade, and only then, the log may stay as it is: delete from ${names.meta} where key = 'log-server'.`,
  )
}

/**
 * Whether the sequence of positions can be read, and gives them out one by one: a session that took some ahead would
 * write below what a cursor has passed.
 *
 * @throws {OutboxError} `setup-required`
 */
export async function checkPositions(session: Session, names: Names, options?: CallOptions): Promise<void> {
  const sequence = positionSequence(names)
  const text = `
select seqrelid::regclass::text as name, seqcache = 1 as is_one_by_one, has_sequence_privilege(seqrelid, 'SELECT') as is_readable
from pg_sequence where seqrelid = ${sequence}::regclass`
  const [row] = await session.run({ text, values: [] }, options)
  if (!row) return
  const name = textIn(row, 'name')
  if (!booleanIn(row, 'is_readable')) {
    throw setupRequired(
      'The role of the connection may not use the log of the outbox in PostgreSQL.',
      [`privilege SELECT on the sequence ${name}`],
      'Grant it: the README of @outbox/drizzle has the statements for each kind of process.',
    )
  }
  if (!booleanIn(row, 'is_one_by_one')) {
    throw setupRequired(
      'Sessions take positions of the outbox in PostgreSQL ahead, and the log would pass over entries.',
      [`the sequence ${name} without a cache`],
      `Stop the relays, run: alter sequence ${name} cache 1, and end the sessions that have enqueued.`,
    )
  }
}

/**
 * For a relay with the mark engine: whether a log beside the table still owes entries.
 *
 * @throws {OutboxError} `setup-required`
 */
export async function checkNoLog(session: Session, names: Names, options?: CallOptions): Promise<void> {
  const [found] = await session.run(
    { text: 'select to_regclass($1::text) is not null as is_there', values: [names.log] },
    options,
  )
  if (!found || !booleanIn(found, 'is_there')) return
  // a producer keeps this lock to its end, a prepared transaction too
  const open = `
select exists (
  select from pg_locks
  where database = (select oid from pg_database where datname = current_database())
    and relation = to_regclass($1::text) and mode = 'RowExclusiveLock' and granted) as is_owing`
  const owed = `
select exists (
  select from (${allCursors(names)}) c
  where exists (
    select from (${unpassedRows(names, 'c', 'id', { limit: 1, where: `not ${standsAside(names, 'l')}` })}) l)) as is_owing`
  // In this order: whoever held the lock no more when it was looked for has committed before the rows are looked for.
  const isOwing = async (text: string, ...values: readonly string[]): Promise<boolean> => {
    const [row] = await session.run({ text, values }, options)
    return row !== undefined && booleanIn(row, 'is_owing')
  }
  if (!(await isOwing(open, names.log)) && !(await isOwing(owed))) return
  throw setupRequired(
    'A log stands beside the table of this outbox, and owes entries, or will when a transaction ends that is open: a relay with the mark engine does not see them.',
    ["the option engine: 'log'"],
    "Give engine: 'log' to the relays until the log is empty; or stop all relays, and run emptyLog(db).",
  )
}
