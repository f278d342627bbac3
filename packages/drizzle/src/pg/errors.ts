import { type NewEntry, OutboxError } from '@outbox/core'
import { sequenceConflict } from '@outbox/core/adapter'
import { finishedTransaction } from '../shared/handles.ts'
import { neededOn } from '../shared/needed.ts'
import { setUpOf } from '../shared/set-up.ts'
import { discreet } from './discreet.ts'
import type { Names } from './names.ts'
import { needs, type Purpose } from './privileges.ts'

/** What an error of PostgreSQL or of a driver means to a caller, by its code. */
type Meaning = 'busy' | 'unavailable' | 'read-only' | 'setup-required' | 'refused-role' | 'refused-connection'

const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['40001', 'busy'], // serialization_failure
  ['40P01', 'busy'], // deadlock_detected
  ['55P03', 'busy'], // lock_not_available: lock_timeout, or NOWAIT
  ['57014', 'busy'], // query_canceled: statement_timeout, or an operator
  ['25P03', 'unavailable'], // idle_in_transaction_session_timeout: the connection is gone
  ['25P04', 'unavailable'], // transaction_timeout: likewise
  ['25006', 'read-only'], // read_only_sql_transaction: a standby, or default_transaction_read_only
  ['57P01', 'unavailable'], // admin_shutdown
  ['57P02', 'unavailable'], // crash_shutdown
  ['57P03', 'unavailable'], // cannot_connect_now: starting up, or recovering
  ['57P05', 'unavailable'], // idle_session_timeout
  ['42P01', 'setup-required'], // undefined_table
  ['42703', 'setup-required'], // undefined_column
  ['42P10', 'setup-required'], // invalid_column_reference: no unique index fits ON CONFLICT
  ['3F000', 'setup-required'], // invalid_schema_name
  ['42501', 'refused-role'], // insufficient_privilege
  ['28000', 'refused-connection'], // invalid_authorization_specification: pg_hba.conf, or no such role
  ['28P01', 'refused-connection'], // invalid_password
  ['3D000', 'refused-connection'], // invalid_catalog_name: no such database
  // Node's
  ['ECONNREFUSED', 'unavailable'],
  ['ECONNRESET', 'unavailable'],
  ['ECONNABORTED', 'unavailable'],
  ['EPIPE', 'unavailable'],
  ['ETIMEDOUT', 'unavailable'],
  ['EHOSTUNREACH', 'unavailable'],
  ['ENETUNREACH', 'unavailable'],
  ['ENOTFOUND', 'unavailable'],
  ['EAI_AGAIN', 'unavailable'],
  // postgres-js's
  ['CONNECTION_CLOSED', 'unavailable'],
  ['CONNECTION_ENDED', 'unavailable'],
  ['CONNECTION_DESTROYED', 'unavailable'],
  ['CONNECT_TIMEOUT', 'unavailable'],
])

/** Whole classes of SQLSTATE. */
const classes: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['08', 'unavailable'], // connection exceptions
  ['53', 'unavailable'], // insufficient resources: disk, memory, connections
  ['58', 'unavailable'], // system errors outside PostgreSQL
])

/** PGlite's handles refuse to work once their transaction has ended. */
const endedTransaction = 'Transaction is closed'

/** node-postgres and PGlite say some things in words only. */
const inWords: readonly (readonly [RegExp, Meaning])[] = [
  [
    /^(?:Connection terminated|Query read timeout|timeout expired|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end|PGlite is (?:closed|closing))/,
    'unavailable',
  ],
  [/^(?:SASL: |The server does not support SSL connections)/, 'refused-connection'],
]

/**
 * The error that the outbox throws for one of the driver's: an `OutboxError` where it is known what it means, else
 * the driver's own.
 *
 * Never drizzle's wrapping of it: that quotes the parameters, and they hold payloads. Nor what else of the driver's
 * may quote them.
 */
export function translated(error: unknown, purpose: Purpose): unknown {
  const cause = withoutPayload(driverError(error), purpose)
  if (codeOf(cause) === undefined && messageOf(cause) === endedTransaction) return finishedTransaction({ cause })
  const meaning = meaningOf(cause)
  return meaning === undefined ? cause : explained(meaning, cause, purpose)
}

function explained(meaning: Meaning, cause: unknown, purpose: Purpose): OutboxError {
  const said = messageOf(cause)
  const { calls } = setUpOf(purpose.names, purpose.use.startsWith('log') ? { engine: 'log' } : {})
  switch (meaning) {
    case 'busy':
      return new OutboxError(
        'busy',
        `PostgreSQL gave this transaction up (${codeOf(cause)}, ${said}): run it again, from its beginning.`,
        { system },
        { cause },
      )
    case 'unavailable':
      return new OutboxError(
        'unavailable',
        `PostgreSQL ${/^5[38]/.test(codeOf(cause) ?? '') ? 'answers, and cannot do this now' : 'cannot be reached'}: ${said}`,
        { system },
        { cause },
      )
    case 'read-only':
      return new OutboxError(
        'unavailable',
        `PostgreSQL is read-only here (${said}): a standby, a session under default_transaction_read_only, or a transaction that was begun READ ONLY. Connect to the primary, in a transaction that may write. After a fail-over it is enough to try again.`,
        { system },
        { cause },
      )
    case 'setup-required':
      return setupRequired(
        `The tables of the outbox or inbox are not as they should be, or not where this connection looks for them: ${said}. Run your migrations, or ${calls.setup}, ${calls.setupInbox}; check() lists everything that is missing.`,
        said,
        cause,
      )
    case 'refused-role': {
      const needed = neededOn(said, purpose.names.prefix, needs[purpose.use])
      const missing = needed === undefined ? said : `one of the privileges ${needed}`
      return setupRequired(
        `PostgreSQL refuses this to the role of the connection: ${said}. ${needed === undefined ? 'Grant it what is missing' : `It needs ${needed}`}; the README of @outbox/drizzle has the grants for each kind of process.`,
        missing,
        cause,
      )
    }
    case 'refused-connection':
      return setupRequired(
        `PostgreSQL refuses the connection: ${said}. Check the user, the password and the database that your pool connects with.`,
        said,
        cause,
      )
  }
}

function setupRequired(message: string, missing: string, cause: unknown): OutboxError<'setup-required'> {
  return new OutboxError('setup-required', message, { missing: [missing] }, { cause })
}

/**
 * As `translated`, for the insert of a batch: a violated (aggregate, sequence) becomes the error that names which.
 */
export function translatedConflict(error: unknown, names: Names, entries: readonly NewEntry[]): unknown {
  const cause = driverError(error)
  if (codeOf(cause) !== '23505' || !isOfSequences(constraintOf(cause), names)) return cause
  const detail = textOf(cause, 'detail') ?? ''
  // Looked for, not parsed: names may hold commas and brackets, and the sentence around them may be in any language.
  // A leaf's index has the slot at its end.
  const conflicting = entries.find(({ aggregateType, aggregateId, sequence }) =>
    [')', ', '].some((end) => detail.includes(`=(${aggregateType}, ${aggregateId}, ${sequence}${end}`)),
  )
  const named = conflicting ?? keyIn(detail, isOfLeaf(constraintOf(cause), names)) ?? entries[0]
  return named ? sequenceConflict({ ...named, sequence: named.sequence ?? 0 }, { cause }) : cause
}

function isOfSequences(constraint: string | undefined, names: Names): boolean {
  return constraint === `${names.prefix}entries_sequence` || isOfLeaf(constraint, names)
}

/** PostgreSQL names the indexes of a log's leaves itself, after table and columns; of a long name 29 characters stand. */
function isOfLeaf(constraint: string | undefined, { prefix }: Names): boolean {
  const beginning = `${prefix}log_`.slice(0, 29)
  return constraint?.startsWith(beginning) === true && constraint.includes('_aggregate_type_aggregate_id_')
}

/** The key as PostgreSQL writes it, for a number that the store gave and no entry of the batch tells. */
function keyIn(
  detail: string,
  hasSlot: boolean,
): { readonly aggregateType: string; readonly aggregateId: string; readonly sequence: number } | undefined {
  const key = hasSlot ? /^[^=]*=\(([^,]*), (.*), (\d+), \d+\)/s : /^[^=]*=\(([^,]*), (.*), (\d+)\)/s
  const [, aggregateType, aggregateId, sequence] = key.exec(detail) ?? []
  if (aggregateType === undefined || aggregateId === undefined || sequence === undefined) return undefined
  return { aggregateType, aggregateId, sequence: Number(sequence) }
}

const system = 'postgresql'

/** True for an error of `translated` that refuses a statement because an earlier one of its transaction failed. */
export function saysTransactionFailed(error: unknown): boolean {
  return codeOf(error) === '25P02'
}

/** The innermost error: drizzle, and what wraps drizzle, name their cause. */
function driverError(error: unknown): unknown {
  let inner = error
  while (codeOf(inner) === undefined && inner instanceof Error && inner.cause !== undefined) inner = inner.cause
  return inner
}

function withoutPayload(error: unknown, { names }: Purpose): unknown {
  if (!(error instanceof Error) || OutboxError.is(error)) return error
  return discreet(error, isOfSequences(constraintOf(error), names))
}

function meaningOf(error: unknown): Meaning | undefined {
  if (OutboxError.is(error)) return undefined
  const code = codeOf(error)
  // the socket's file goes when the server does; another file that is missing is a mistake
  if (code === 'ENOENT' && textOf(error, 'syscall') === 'connect') return 'unavailable'
  if (code !== undefined) {
    return meanings.get(code) ?? (/^[0-9A-Z]{5}$/.test(code) ? classes.get(code.slice(0, 2)) : undefined)
  }
  return inWords.find(([words]) => words.test(messageOf(error)))?.[1]
}

/** As node-postgres and PGlite, and as postgres-js call it. */
function constraintOf(error: unknown): string | undefined {
  return textOf(error, 'constraint', 'constraint_name')
}

function codeOf(error: unknown): string | undefined {
  return textOf(error, 'code')
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Node gathers the failures of several addresses under an empty message
  return error.message || (codeOf(error) ?? error.name)
}

function textOf(error: unknown, ...names: readonly string[]): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const found = Object.entries(error).find(([name]) => names.includes(name))?.[1]
  return typeof found === 'string' ? found : undefined
}
