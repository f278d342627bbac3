import { type ErrorCode, OutboxError } from '@outbox/core'
import { defaultPrefix, setUpOf } from '../shared/set-up.ts'
import { finishedAsync } from './handles.ts'

const system = 'sqlite'

type Meaning = readonly [code: ErrorCode & ('busy' | 'unavailable'), message: string]

/** What each of SQLite's result codes means to a caller; extended codes (`SQLITE_BUSY_SNAPSHOT`) count as their stem. */
const codes: readonly (readonly [stem: string, ...Meaning])[] = [
  ['SQLITE_BUSY', 'busy', 'The database file is locked by another connection: run the whole transaction again.'],
  ['SQLITE_LOCKED', 'busy', 'A table is locked within the same process: run the whole transaction again.'],
  ['SQLITE_CANTOPEN', 'unavailable', 'The database file, or a file beside it, cannot be opened.'],
  ['SQLITE_IOERR', 'unavailable', 'Reading or writing the database file failed.'],
  [
    'SQLITE_READONLY_DBMOVED',
    'unavailable',
    'The database file was deleted or moved while it was open: put it back, and open it anew.',
  ],
  ['SQLITE_READONLY', 'unavailable', 'The database file cannot be written: look at its rights and its directory.'],
  ['SQLITE_FULL', 'unavailable', 'The disk of the database file is full.'],
  ['SQLITE_PROTOCOL', 'unavailable', "The locks of the database file's WAL could not be had."],
  ['SQLITE_CORRUPT', 'unavailable', 'The database file is damaged: run PRAGMA integrity_check, and restore it.'],
  ['SQLITE_NOTADB', 'unavailable', 'The database file is no SQLite database, or it is encrypted: restore it.'],
  // what libsql and its server say by themselves
  ['TRANSACTION_ACTIVE', 'busy', 'All connections of the libsql client are in use by open transactions.'],
  ['TRANSACTION_BUSY', 'busy', 'The libsql server has too many transactions: run the whole transaction again.'],
  ['TRANSACTION_TIMEOUT', 'busy', 'The libsql server ended the transaction, which took long: run all of it again.'],
  ['CLIENT_CLOSED', 'unavailable', 'The libsql client is closed.'],
  ['HRANA_CLOSED_ERROR', 'unavailable', 'The connection to the libsql server was closed.'],
  ['HRANA_WEBSOCKET_ERROR', 'unavailable', 'The libsql server cannot be reached.'],
  ['SERVER_ERROR', 'unavailable', 'The libsql server answered with an error.'],
]

/** What better-sqlite3 says of a statement while another one's `.iterate()` goes on. */
const busyIterating = /busy executing a query/

/** What the drivers say without a code, or with an empty one. */
const messages: readonly (readonly [pattern: RegExp, ...Meaning])[] = [
  [/connection is not open/, 'unavailable', 'The database connection is closed.'],
  [busyIterating, 'busy', 'The connection is in the middle of iterating over the rows of another statement.'],
  [/^ConnectionFailed\(/, 'unavailable', 'The database file, or a file beside it, cannot be opened.'],
  [/^fetch failed$/, 'unavailable', 'The libsql server cannot be reached.'],
]

/**
 * The outbox error that a driver's error stands for; any other error is given back as it is.
 *
 * Drizzle wraps errors of the driver, so causes are looked at too. Where libsql names the path of the file in its
 * message, the message is ours; the driver's error is the cause.
 */
export function outboxErrorFrom(error: unknown): unknown {
  if (OutboxError.is(error)) return error
  const driverError = driverErrorIn(error)
  if (driverError === undefined) return error
  const { code, message } = driverError
  if (code === 'TRANSACTION_CLOSED') return finishedAsync({ cause: error })
  for (const [stem, outboxCode, text] of codes) {
    if (code === stem || code.startsWith(`${stem}_`)) {
      return new OutboxError(outboxCode, `${text} (${code})`, { system }, { cause: error })
    }
  }
  for (const [pattern, outboxCode, text] of messages) {
    if (pattern.test(message)) return new OutboxError(outboxCode, text, { system }, { cause: error })
  }
  const missing =
    /no such (table|column|index): (?:main\.)?(\S+)/.exec(message) ?? /has no (column) named (\S+)/.exec(message)
  if (!missing) return error
  // all that is known is the name: a missing column of the inbox is told as one of it where the statement names its table
  const title = /inbox\b/.test(message) ? 'inbox' : 'outbox'
  return setupRequired(
    { title, prefix: missing[1] === 'column' ? defaultPrefix : prefixOf(missing[2]) },
    [`${missing[1]} ${missing[2]}`],
    { cause: error },
  )
}

/** Of a table, or of an index. */
function prefixOf(name = ''): string {
  return tables.exec(name)?.[1] ?? defaultPrefix
}

const tables = /^(.*?)(?:entries|pending|settled|sequences|aggregates|relays|leases|meta|inbox)(?:_[a-z]+)?$/

/** Runs `work`; what it throws comes out as an outbox error where it is one. */
export function translated<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw outboxErrorFrom(error)
  }
}

/** As `translated`, for what a caller asked for in a transaction of theirs. */
export function translatedInside<Result>(work: () => Result): Result {
  return translated(() => {
    try {
      return work()
    } catch (error) {
      throw error instanceof Error && busyIterating.test(error.message) ? iterating({ cause: error }) : error
    }
  })
}

/** Not `busy`: it would be the same the next time. */
function iterating(options: ErrorOptions): OutboxError<'invalid-option'> {
  return new OutboxError(
    'invalid-option',
    'This connection is in the middle of .iterate(), and better-sqlite3 runs nothing else on it meanwhile: read the rows with .all() first. Nothing was written.',
    { option: 'tx' },
    options,
  )
}

/** The error for tables, columns or indexes that are not there, with what to do. */
export function setupRequired(
  { title, prefix }: { readonly title: 'outbox' | 'inbox'; readonly prefix: string },
  missing: readonly string[],
  options?: ErrorOptions,
): OutboxError<'setup-required'> {
  const { calls } = setUpOf({ prefix })
  const setup = title === 'outbox' ? calls.setup : calls.setupInbox
  return refusedSetup(
    `The ${title} is not set up in this SQLite database.`,
    missing,
    `Call ${setup} from '@outbox/drizzle/sqlite' once, or add its tables to your drizzle schema and run drizzle-kit's migration.`,
    options,
  )
}

/** The error for what setting up does not mend. */
export function refusedSetup(
  sentence: string,
  missing: readonly string[],
  remedy: string,
  options?: ErrorOptions,
): OutboxError<'setup-required'> {
  return new OutboxError(
    'setup-required',
    `${sentence} Missing: ${missing.join(', ')}. ${remedy}`,
    { missing },
    options,
  )
}

function driverErrorIn(error: unknown): { readonly code: string; readonly message: string } | undefined {
  // a chain of causes is short; a cycle in it would be a bug of whoever made it
  for (let depth = 0, current = error; depth < 5 && current instanceof Error; depth++, current = current.cause) {
    const { message } = current
    // libsql has the stem as `code`, and more beside it
    const code = textIn(current, 'extendedCode') ?? textIn(current, 'code')
    if (code) return { code, message }
    if (messages.some(([pattern]) => pattern.test(message))) return { code: '', message }
  }
  return undefined
}

function textIn(error: Error, property: 'code' | 'extendedCode'): string | undefined {
  const value: unknown = property in error ? Reflect.get(error, property) : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}
