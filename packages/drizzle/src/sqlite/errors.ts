import { type ErrorCode, OutboxError } from '@outbox/core'

const system = 'sqlite'

/** What each of SQLite's result codes means to a caller; extended codes (`SQLITE_BUSY_SNAPSHOT`) count as their stem. */
const meanings: readonly (readonly [stem: string, code: ErrorCode & ('busy' | 'unavailable'), message: string])[] = [
  ['SQLITE_BUSY', 'busy', 'The database file is locked by another connection: run the whole transaction again.'],
  ['SQLITE_LOCKED', 'busy', 'A table is locked within the same process: run the whole transaction again.'],
  ['SQLITE_CANTOPEN', 'unavailable', 'The database file, or a file beside it, cannot be opened.'],
  ['SQLITE_IOERR', 'unavailable', 'Reading or writing the database file failed.'],
  ['SQLITE_READONLY', 'unavailable', 'The database file cannot be written: look at its rights and its directory.'],
  ['SQLITE_FULL', 'unavailable', 'The disk of the database file is full.'],
  ['SQLITE_PROTOCOL', 'unavailable', "The locks of the database file's WAL could not be had."],
]

/** better-sqlite3 says these without a code. */
const messages: readonly (readonly [pattern: RegExp, code: ErrorCode & ('busy' | 'unavailable'), message: string])[] = [
  [/connection is not open/, 'unavailable', 'The database connection is closed.'],
  [
    /busy executing a query/,
    'busy',
    'The connection is in the middle of iterating over the rows of another statement.',
  ],
]

/**
 * The outbox error that a driver's error stands for; any other error is given back as it is.
 *
 * Drizzle wraps errors of the driver, so causes are looked at too.
 */
export function outboxErrorFrom(error: unknown): unknown {
  if (OutboxError.is(error)) return error
  const driverError = withCode(error)
  if (driverError === undefined) return error
  const { code, message } = driverError
  for (const [stem, outboxCode, text] of meanings) {
    if (code === stem || code.startsWith(`${stem}_`)) {
      return new OutboxError(outboxCode, `${text} (${code})`, { system }, { cause: error })
    }
  }
  for (const [pattern, outboxCode, text] of messages) {
    if (pattern.test(message)) return new OutboxError(outboxCode, text, { system }, { cause: error })
  }
  const missing =
    /no such (table|column): (?:main\.)?(\S+)/.exec(message) ?? /has no (column) named (\S+)/.exec(message)
  return missing ? setupRequired([`${missing[1]} ${missing[2]}`], { cause: error }) : error
}

/** Runs `work`; what it throws comes out as an outbox error where it is one. */
export function translated<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw outboxErrorFrom(error)
  }
}

/** The error for tables, columns or indexes that are not there, with what to do. */
export function setupRequired(missing: readonly string[], options?: ErrorOptions): OutboxError<'setup-required'> {
  return new OutboxError(
    'setup-required',
    `The outbox is not set up in this SQLite database. Missing: ${missing.join(', ')}. Call setup(db) from '@outbox/drizzle/sqlite' once, or add its tables to your drizzle schema and run drizzle-kit's migration.`,
    { missing },
    options,
  )
}

/** True if a unique index refused the row. */
export function isUniqueViolation(error: unknown): boolean {
  const code = withCode(error)?.code
  return code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT'
}

function withCode(error: unknown): { readonly code: string; readonly message: string } | undefined {
  // a chain of causes is short; a cycle in it would be a bug of whoever made it
  for (let depth = 0, current = error; depth < 5 && current instanceof Error; depth++, current = current.cause) {
    const code: unknown = 'code' in current ? current.code : undefined
    if (typeof code === 'string') return { code, message: current.message }
    if (messages.some(([pattern]) => pattern.test(current.message))) return { code: '', message: current.message }
  }
  return undefined
}
