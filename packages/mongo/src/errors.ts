import { OutboxError } from '@outbox/core'

/** What an error of MongoDB or of its driver means to a caller. */
type Meaning = 'busy' | 'unavailable' | 'standalone' | Refusal

type Refusal =
  | 'taken-index'
  | 'refused-role'
  | 'refused-connection'
  | 'refused-by-atlas'
  | 'refused-concern'
  | 'refused-api'

export const duplicateKey = 11000

/** By the server's code. */
const meanings: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  [24, 'busy'], // LockTimeout
  [43, 'busy'], // CursorNotFound
  [46, 'busy'], // LockBusy
  [50, 'busy'], // MaxTimeMSExpired
  [112, 'busy'], // WriteConflict
  [175, 'busy'], // QueryPlanKilled
  [225, 'busy'], // TransactionTooOld
  [237, 'busy'], // CursorKilled
  [239, 'busy'], // SnapshotTooOld
  [244, 'busy'], // TransactionAborted
  [246, 'busy'], // SnapshotUnavailable
  [251, 'busy'], // NoSuchTransaction
  [262, 'busy'], // ExceededTimeLimit
  [290, 'busy'], // TransactionExceededLifetimeLimitSeconds
  [365, 'busy'], // TemporarilyUnavailable
  [11601, 'busy'], // Interrupted
  [duplicateKey, 'busy'], // what was free when the transaction began is taken
  [6, 'unavailable'], // HostUnreachable
  [7, 'unavailable'], // HostNotFound
  [64, 'unavailable'], // WriteConcernFailed
  [89, 'unavailable'], // NetworkTimeout
  [91, 'unavailable'], // ShutdownInProgress
  [100, 'unavailable'], // UnsatisfiableWriteConcern
  [133, 'unavailable'], // FailedToSatisfyReadPreference
  [134, 'unavailable'], // ReadConcernMajorityNotAvailableYet
  [189, 'unavailable'], // PrimarySteppedDown
  [202, 'unavailable'], // NetworkInterfaceExceededTimeLimit
  [211, 'unavailable'], // KeyNotFound: the keys that sign the cluster's time, after an election
  [9001, 'unavailable'], // SocketException
  [10107, 'unavailable'], // NotWritablePrimary
  [11600, 'unavailable'], // InterruptedAtShutdown
  [11602, 'unavailable'], // InterruptedDueToReplStateChange
  [13435, 'unavailable'], // NotPrimaryNoSecondaryOk
  [13436, 'unavailable'], // NotPrimaryOrSecondary
  [14031, 'unavailable'], // OutOfDiskSpace
  [85, 'taken-index'], // IndexOptionsConflict
  [86, 'taken-index'], // IndexKeySpecsConflict
  [13, 'refused-role'], // Unauthorized
  [79, 'refused-concern'], // UnknownReplWriteConcern, which asks for tags that are not defined
  [323, 'refused-api'], // APIStrictError
  [18, 'refused-connection'], // AuthenticationFailed
  [8000, 'refused-by-atlas'], // AtlasError: a wrong user or password, say
])

/** By the driver's name, for what never reached a server. */
const meaningsByName: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['MongoNetworkError', 'unavailable'],
  ['MongoNetworkTimeoutError', 'unavailable'],
  ['MongoServerSelectionError', 'unavailable'],
  ['MongoTopologyClosedError', 'unavailable'],
  ['MongoNotConnectedError', 'unavailable'],
  ['MongoClientClosedError', 'unavailable'],
  ['MongoOperationTimeoutError', 'unavailable'],
  ['MongoPoolClearedError', 'unavailable'],
  ['PoolClearedOnNetworkError', 'unavailable'],
  ['MongoPoolClosedError', 'unavailable'],
  ['MongoWaitQueueTimeoutError', 'unavailable'],
  ['MongoWriteConcernError', 'unavailable'],
])

/** Node's, which the driver passes on as they are where a connection ends while it writes. */
const lostConnection: ReadonlySet<unknown> = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT'])

/** Node's, too, where DNS has no answer for a URL that begins with `mongodb+srv:`, whatever the code. */
const lookUps: ReadonlySet<unknown> = new Set(['querySrv', 'queryTxt'])

const transient = 'TransientTransactionError'
const system = 'mongodb'

/** The error that the outbox throws for one of the driver's, or the driver's own where nothing is known about it. */
export function translated(error: unknown): unknown {
  const meaning = meaningOf(error)
  return meaning === undefined ? error : explained(meaning, error)
}

/**
 * As `translated`, inside a caller's transaction. What is retryable carries the driver's error in its prototype chain,
 * and its labels: `withTransaction` looks for both, and then runs the callback again.
 */
export function translatedInTransaction(error: unknown): unknown {
  const found = translated(error)
  if (!(found instanceof OutboxError) || !found.isRetryable || !isDriverError(error)) return found
  return OutboxError.is(found, 'busy') ? asDriverError(found, error, true) : asDriverError(found, error)
}

/** An error of the driver, of whichever copy. */
interface DriverError extends Error {
  hasErrorLabel(label: string): boolean
}

function isDriverError(error: unknown): error is DriverError {
  return error instanceof Error && 'hasErrorLabel' in error && typeof error.hasErrorLabel === 'function'
}

/**
 * Puts the driver's error behind the outbox's: own properties are the outbox's, `instanceof MongoError` and the labels
 * are the driver's.
 */
function asDriverError<Found extends OutboxError>(
  found: Found,
  cause: DriverError,
  isTransient: boolean = false,
): Found {
  const hasErrorLabel = (label: string): boolean => (isTransient && label === transient) || cause.hasErrorLabel(label)
  Object.defineProperty(found, 'hasErrorLabel', { value: hasErrorLabel })
  return Object.setPrototypeOf(found, cause)
}

function explained(meaning: Meaning, cause: unknown): OutboxError {
  const said = messageOf(cause)
  switch (meaning) {
    case 'busy':
      return new OutboxError(
        'busy',
        `MongoDB gave this up because another transaction was first, or for lack of time (${said}): run the whole transaction again, as session.withTransaction does.`,
        { system },
        { cause },
      )
    case 'unavailable':
      return new OutboxError('unavailable', `MongoDB cannot be reached: ${said}`, { system }, { cause })
    case 'standalone':
      return setupRequired('MongoDB has no transactions here.', [replicaSet], standaloneRemedy, cause)
    default: {
      const { what, remedy } = refusals[meaning]
      return setupRequired(`MongoDB refuses ${what}: ${said}.`, [said], remedy, cause)
    }
  }
}

const refusals: Readonly<Record<Refusal, { readonly what: string; readonly remedy: string }>> = Object.freeze({
  'taken-index': {
    what: 'an index, as another of its name or its keys is there',
    remedy: 'Drop the one that is there, and call the same again.',
  },
  'refused-role': {
    what: 'this to the user of the connection',
    remedy: 'The README of @outbox/mongo has the privileges for each kind of process.',
  },
  'refused-connection': {
    what: 'the connection',
    remedy: 'Check the user, the password and the authentication database of your client.',
  },
  'refused-by-atlas': {
    what: 'this',
    remedy: 'Check the user, the password, the privileges and the limits of the cluster in Atlas.',
  },
  'refused-concern': {
    what: 'the write concern of your client',
    remedy: 'Define it in the settings of the replica set, or give your client another one.',
  },
  'refused-api': {
    what: 'a command to a client with apiStrict',
    remedy: 'Give the outbox a client without it, and report this: the Stable API should do.',
  },
})

export const replicaSet = 'a replica set: this server is a standalone, which has no transactions'
export const standaloneRemedy =
  'Start mongod with --replSet and run rs.initiate(): one member is enough. Or connect to the replica set you have, and drop directConnection from the URL.'

export function setupRequired(
  sentence: string,
  missing: readonly string[],
  remedy: string,
  cause?: unknown,
): OutboxError<'setup-required'> {
  const list = missing.map((one) => `\n- ${one}`).join('')
  const options = cause === undefined ? undefined : { cause }
  return new OutboxError('setup-required', `${sentence} Missing:${list}\n${remedy}`, { missing }, options)
}

function meaningOf(error: unknown): Meaning | undefined {
  if (OutboxError.is(error) || !(error instanceof Error)) return undefined
  const ending = endingOf(error)
  if (ending instanceof Error && 'code' in ending && lostConnection.has(ending.code)) return 'unavailable'
  if ('syscall' in error && lookUps.has(error.syscall)) return 'unavailable'
  const code = codeOf(ending) ?? codeOf(error)
  if (code === 20 && error.message.includes('Transaction numbers')) return 'standalone'
  const name = ending instanceof Error ? ending.name : error.name
  const known = (code === undefined ? undefined : meanings.get(code)) ?? meaningsByName.get(name)
  if (known !== undefined || !isDriverError(error)) return known
  if (error.hasErrorLabel('RetryableWriteError')) return 'unavailable'
  return error.hasErrorLabel(transient) ? 'busy' : undefined
}

/** What ended a bulk write: the driver wraps the error of a connection, and what a write concern came to. */
function endingOf(error: Error): unknown {
  if ('errorResponse' in error && error.errorResponse instanceof Error) return error.errorResponse
  return 'err' in error ? error.err : error
}

/** What was to be inserted is there already. */
export function isDuplicate(error: unknown): boolean {
  return codeOf(OutboxError.is(error) ? error.cause : error) === duplicateKey
}

export function codeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'number' ? error.code : undefined
}

/** A message of the server's about a duplicate key quotes the key, which is no payload: ids and names. */
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}
