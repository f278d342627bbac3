import { type NewEntry, OutboxError, sequenceConflict } from '@outbox/core'
import { finishedTransaction } from './handles.ts'

/** What an error of PostgreSQL or of a driver means to a caller, by its code. */
type Meaning = 'busy' | 'unavailable' | 'setup-required'

const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['40001', 'busy'], // serialization_failure
  ['40P01', 'busy'], // deadlock_detected
  ['55P03', 'busy'], // lock_not_available: lock_timeout, or NOWAIT
  ['57014', 'busy'], // query_canceled: statement_timeout, or an operator
  ['25P03', 'unavailable'], // idle_in_transaction_session_timeout: the connection is gone
  ['25P04', 'unavailable'], // transaction_timeout: likewise
  ['25006', 'unavailable'], // read_only_sql_transaction: a standby, after a fail-over
  ['57P01', 'unavailable'], // admin_shutdown
  ['57P02', 'unavailable'], // crash_shutdown
  ['57P03', 'unavailable'], // cannot_connect_now: starting up, or recovering
  ['57P05', 'unavailable'], // idle_session_timeout
  ['42P01', 'setup-required'], // undefined_table
  ['42703', 'setup-required'], // undefined_column
  ['42P10', 'setup-required'], // invalid_column_reference: no unique index fits ON CONFLICT
  ['3F000', 'setup-required'], // invalid_schema_name
  ['42501', 'setup-required'], // insufficient_privilege
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
const lostConnection =
  /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end|PGlite is (?:closed|closing))/

/**
 * The error that the outbox throws for one of the driver's: an `OutboxError` where it is known what it means, else
 * the driver's own.
 *
 * Never drizzle's wrapping of it: that quotes the parameters, and they hold payloads.
 */
export function translated(error: unknown): unknown {
  const cause = driverError(error)
  if (codeOf(cause) === undefined && messageOf(cause) === endedTransaction) return finishedTransaction({ cause })
  switch (meaningOf(cause)) {
    case 'busy':
      return new OutboxError(
        'busy',
        `PostgreSQL gave this transaction up (${codeOf(cause)}): run it again, from its beginning.`,
        { system },
        { cause },
      )
    case 'unavailable':
      return new OutboxError('unavailable', `PostgreSQL cannot be reached: ${messageOf(cause)}`, { system }, { cause })
    case 'setup-required':
      return new OutboxError(
        'setup-required',
        `The tables of the outbox are not as they should be: ${messageOf(cause)}. Run your migrations, or setup(db); store.check() lists everything that is missing.`,
        { missing: [messageOf(cause)] },
        { cause },
      )
    default:
      return cause
  }
}

/**
 * As `translated`, for the insert of a batch: a violated (aggregate, sequence) becomes the error that names which.
 *
 * @param index - name of the unique index
 */
export function translatedConflict(error: unknown, index: string, entries: readonly NewEntry[]): unknown {
  const cause = driverError(error)
  if (codeOf(cause) !== '23505' || textOf(cause, 'constraint', 'constraint_name') !== index) return cause
  const detail = textOf(cause, 'detail') ?? ''
  // Looked for, not parsed: names may hold commas and brackets, and the sentence around them may be in any language.
  const conflicting = entries.find((entry) =>
    detail.includes(`=(${entry.aggregateType}, ${entry.aggregateId}, ${entry.sequence})`),
  )
  const named = conflicting ?? keyIn(detail) ?? entries[0]
  return named ? sequenceConflict({ ...named, sequence: named.sequence ?? 0 }, { cause }) : cause
}

/** The key as PostgreSQL writes it, for a number that the store gave and no entry of the batch tells. */
function keyIn(
  detail: string,
): { readonly aggregateType: string; readonly aggregateId: string; readonly sequence: number } | undefined {
  const [, aggregateType, aggregateId, sequence] = /=\(([^,]*), (.*), (\d+)\)/s.exec(detail) ?? []
  if (aggregateType === undefined || aggregateId === undefined || sequence === undefined) return undefined
  return { aggregateType, aggregateId, sequence: Number(sequence) }
}

const system = 'postgresql'

/** The innermost error: drizzle, and what wraps drizzle, name their cause. */
function driverError(error: unknown): unknown {
  let inner = error
  while (codeOf(inner) === undefined && inner instanceof Error && inner.cause !== undefined) inner = inner.cause
  return inner
}

function meaningOf(error: unknown): Meaning | undefined {
  if (OutboxError.is(error)) return undefined
  const code = codeOf(error)
  if (code !== undefined)
    return meanings.get(code) ?? (/^[0-9A-Z]{5}$/.test(code) ? classes.get(code.slice(0, 2)) : undefined)
  return lostConnection.test(messageOf(error)) ? 'unavailable' : undefined
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
