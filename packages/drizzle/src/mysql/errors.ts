import { OutboxError } from '@outbox/core'
import { neededOn } from '../shared/needed.ts'
import { setUpOf } from '../shared/set-up.ts'
import { needs, type Purpose } from './privileges.ts'

/** What an error of the server or of the driver means to a caller. */
type Meaning =
  | 'busy'
  | 'unavailable'
  | 'read-only'
  | 'setup-required'
  | 'too-large'
  | 'no-database'
  | 'refused-user'
  | 'refused-connection'

/** The server's, by number: MySQL and MariaDB share these, and where one has no such error it never comes. */
const byNumber: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  [1020, 'busy'], // ER_CHECKREAD: MariaDB's innodb_snapshot_isolation
  [1205, 'busy'], // ER_LOCK_WAIT_TIMEOUT
  [1213, 'busy'], // ER_LOCK_DEADLOCK
  [1317, 'busy'], // ER_QUERY_INTERRUPTED: KILL QUERY
  [1412, 'busy'], // ER_TABLE_DEF_CHANGED: the snapshot is older than a change of the table
  [1613, 'busy'], // ER_XA_RBTIMEOUT
  [1614, 'busy'], // ER_XA_RBDEADLOCK
  [1180, 'busy'], // ER_ERROR_DURING_COMMIT
  [1206, 'busy'], // ER_LOCK_TABLE_FULL
  [1969, 'busy'], // MariaDB: max_statement_time
  [3024, 'busy'], // MySQL: max_execution_time
  [3058, 'busy'], // ER_USER_LOCK_DEADLOCK
  [3101, 'busy'], // ER_TRANSACTION_ROLLBACK_DURING_COMMIT: group replication
  [3572, 'busy'], // ER_LOCK_NOWAIT
  [1021, 'unavailable'], // ER_DISK_FULL
  [1037, 'unavailable'], // ER_OUTOFMEMORY
  [1038, 'unavailable'], // ER_OUT_OF_SORTMEMORY
  [1040, 'unavailable'], // ER_CON_COUNT_ERROR
  [1041, 'unavailable'], // ER_OUT_OF_RESOURCES
  [1047, 'unavailable'], // Galera: this node is not ready
  [1053, 'unavailable'], // ER_SERVER_SHUTDOWN
  [1080, 'unavailable'], // ER_FORCING_CLOSE
  [1114, 'unavailable'], // ER_RECORD_FILE_FULL
  [1129, 'unavailable'], // ER_HOST_IS_BLOCKED
  [1135, 'unavailable'], // ER_CANT_CREATE_THREAD
  [1158, 'unavailable'], // ER_NET_READ_ERROR
  [1159, 'unavailable'], // ER_NET_READ_INTERRUPTED
  [1160, 'unavailable'], // ER_NET_ERROR_ON_WRITE
  [1161, 'unavailable'], // ER_NET_WRITE_INTERRUPTED
  [1184, 'unavailable'], // ER_NEW_ABORTING_CONNECTION
  [1203, 'unavailable'], // ER_TOO_MANY_USER_CONNECTIONS
  [1226, 'unavailable'], // ER_USER_LIMIT_REACHED
  [1637, 'unavailable'], // ER_TOO_MANY_CONCURRENT_TRXS
  [1927, 'unavailable'], // MariaDB: ER_CONNECTION_KILLED
  [3032, 'unavailable'], // ER_SERVER_OFFLINE_MODE
  [3100, 'unavailable'], // ER_RUN_HOOK_ERROR: group replication
  [3168, 'unavailable'], // ER_SERVER_ISNT_AVAILABLE
  [4031, 'unavailable'], // ER_CLIENT_INTERACTION_TIMEOUT
  [1223, 'read-only'], // ER_CANT_UPDATE_WITH_READLOCK
  [1290, 'read-only'], // ER_OPTION_PREVENTS_STATEMENT: --read-only, --super-read-only
  [1792, 'read-only'], // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
  [1836, 'read-only'], // ER_READ_ONLY_MODE
  [1049, 'setup-required'], // ER_BAD_DB_ERROR
  [1153, 'too-large'], // ER_NET_PACKET_TOO_LARGE
  [1046, 'no-database'], // ER_NO_DB_ERROR
  [1054, 'setup-required'], // ER_BAD_FIELD_ERROR
  [1146, 'setup-required'], // ER_NO_SUCH_TABLE
  [1176, 'setup-required'], // ER_KEY_DOES_NOT_EXITS: an index that a statement names
  [1044, 'refused-user'], // ER_DBACCESS_DENIED_ERROR
  [1142, 'refused-user'], // ER_TABLEACCESS_DENIED_ERROR
  [1143, 'refused-user'], // ER_COLUMNACCESS_DENIED_ERROR
  [1227, 'refused-user'], // ER_SPECIFIC_ACCESS_DENIED_ERROR
  [1045, 'refused-connection'], // ER_ACCESS_DENIED_ERROR
  [1130, 'refused-connection'], // ER_HOST_NOT_PRIVILEGED
  [1251, 'refused-connection'], // ER_NOT_SUPPORTED_AUTH_MODE
  [1524, 'refused-connection'], // ER_PLUGIN_IS_NOT_LOADED
  [1698, 'refused-connection'], // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
  [1820, 'refused-connection'], // ER_MUST_CHANGE_PASSWORD
  [1862, 'refused-connection'], // ER_MUST_CHANGE_PASSWORD_LOGIN
  [3118, 'refused-connection'], // ER_ACCOUNT_HAS_BEEN_LOCKED
  [3159, 'refused-connection'], // ER_SECURE_TRANSPORT_REQUIRED
  [3955, 'refused-connection'], // MySQL: blocked after wrong passwords
  [4151, 'refused-connection'], // MariaDB: ER_ACCOUNT_HAS_BEEN_LOCKED
])

/** Node's and mysql2's, by code. */
const byCode: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['ECONNREFUSED', 'unavailable'],
  ['ECONNRESET', 'unavailable'],
  ['ECONNABORTED', 'unavailable'],
  ['EPIPE', 'unavailable'],
  ['ETIMEDOUT', 'unavailable'],
  ['EHOSTUNREACH', 'unavailable'],
  ['ENETUNREACH', 'unavailable'],
  ['ENOTFOUND', 'unavailable'],
  ['EAI_AGAIN', 'unavailable'],
  ['PROTOCOL_CONNECTION_LOST', 'unavailable'],
  ['PROTOCOL_SEQUENCE_TIMEOUT', 'unavailable'],
  ['ENOENT', 'unavailable'], // the socket of a server that does not run
  ['EACCES', 'refused-connection'], // a socket that this user may not open
  ['AUTH_SWITCH_PLUGIN_ERROR', 'refused-connection'],
  ['HANDSHAKE_NO_SSL_SUPPORT', 'refused-connection'],
])

/** mysql2 says some things in words only. */
const inWords =
  /^(?:Pool is closed|No connections available|Queue limit reached|Can't write in closed state|Can't add new command when connection is in closed state|Connection lost|packets out of order)/i

const system = 'mysql'

/**
 * The error that the outbox throws for one of the driver's: an `OutboxError` where it is known what it means, else
 * the driver's own.
 *
 * Never drizzle's wrapping of it, nor the statement that mysql2 attaches: they hold payloads.
 */
export function translated(error: unknown, purpose: Purpose): unknown {
  const cause = withoutStatement(driverError(error))
  const meaning = meaningOf(cause)
  return meaning === undefined ? cause : explained(meaning, cause, purpose)
}

function explained(meaning: Meaning, cause: unknown, purpose: Purpose): OutboxError {
  const said = messageOf(cause)
  const { calls } = setUpOf(purpose.names)
  switch (meaning) {
    case 'busy':
      return new OutboxError(
        'busy',
        `The database gave this transaction up (${numberOf(cause)}, ${said}): run it again, from its beginning.`,
        { system },
        { cause },
      )
    case 'unavailable':
      return new OutboxError('unavailable', `The database cannot be reached: ${said}`, { system }, { cause })
    case 'read-only':
      return new OutboxError(
        'unavailable',
        `The database is read-only here (${said}): a replica, or a read-only transaction. Connect to the primary. After a fail-over it is enough to try again.`,
        { system },
        { cause },
      )
    case 'setup-required':
      return setupRequired(
        `The tables of the outbox or inbox are not as they should be, or not where this connection looks for them: ${said}. Run your migrations, or ${calls.setup}, ${calls.setupInbox}; check() lists everything that is missing.`,
        said,
        cause,
      )
    case 'too-large':
      return setupRequired(
        `The server takes no statement of this size: ${said}. ${roomRemedy}`,
        'a larger max_allowed_packet',
        cause,
      )
    case 'no-database':
      return setupRequired(`These connections have no database selected. ${selectDatabase}`, 'a database', cause)
    case 'refused-user': {
      const needed = neededOn(said, purpose.names.prefix, needs[purpose.use])
      const missing = needed === undefined ? said : `one of the privileges ${needed}`
      return setupRequired(
        `The database refuses this to the user of the connection: ${said}. ${needed === undefined ? 'Grant it what is missing' : `It needs ${needed}`}; the README of @outbox/drizzle has the grants for each kind of process.`,
        missing,
        cause,
      )
    }
    case 'refused-connection':
      return setupRequired(
        `The database refuses the connection: ${said}. Check the user, the password and the database that your pool connects with.`,
        said,
        cause,
      )
  }
}

/** What is to be done where the server takes no statement as large as an entry makes it. */
export const roomRemedy: string =
  'Set max_allowed_packet to more than twice maxPayloadBytes, on the server and for its clients, or lower maxPayloadBytes.'

/** What is to be done where no database is selected. */
export const selectDatabase: string =
  'Name one where your pool is made, as in mysql://user@host/shop. Some statements need one even where the option schema says which database has the tables.'

function setupRequired(message: string, missing: string, cause: unknown): OutboxError<'setup-required'> {
  return new OutboxError('setup-required', message, { missing: [missing] }, { cause })
}

/** The unique index that an error of the driver says was violated; undefined for every other error. */
export function violatedIndex(error: unknown, indexes: readonly string[]): string | undefined {
  const cause = driverError(error)
  if (numberOf(cause) !== 1062 && numberOf(cause) !== 1586) return undefined
  // The sentence may be in any language, and quotes the values before the index, which may look like anything.
  const said = messageOf(cause)
  const places = indexes.map((index) => ({ index, place: said.lastIndexOf(index) })).filter(({ place }) => place >= 0)
  return places.sort((a, b) => b.place - a.place)[0]?.index
}

/** True for the server's refusal to change the characteristics of a transaction: one is open. */
export function saysTransactionIsOpen(error: unknown): boolean {
  return numberOf(driverError(error)) === 1568
}

/** True for the server's refusal to release a savepoint that is not there. */
export function saysSavepointIsAbsent(error: unknown): boolean {
  return numberOf(driverError(error)) === 1305
}

/** True for an error of `translated` after which another try would only wait as long again. */
export function saysTimeIsOver(error: OutboxError): boolean {
  return [1205, 1317, 1969, 3024].includes(numberOf(error.cause) ?? 0)
}

/** True for an error of `translated` that came of a table or a database that is not there. */
export function saysTableIsAbsent(error: OutboxError): boolean {
  const number = numberOf(error.cause)
  return number === 1146 || number === 1049
}

/** True for an error of `translated` that came of a column that is not there. */
export function saysColumnIsAbsent(error: OutboxError): boolean {
  return numberOf(error.cause) === 1054
}

/** The innermost error: drizzle, and what wraps drizzle, name their cause. */
function driverError(error: unknown): unknown {
  let inner = error
  while (codeOf(inner) === undefined && inner instanceof Error && inner.cause !== undefined) inner = inner.cause
  return inner
}

function withoutStatement(error: unknown): unknown {
  if (typeof error === 'object' && error !== null && 'sql' in error) Reflect.deleteProperty(error, 'sql')
  return error
}

function meaningOf(error: unknown): Meaning | undefined {
  if (OutboxError.is(error)) return undefined
  const number = numberOf(error)
  const known = number === undefined ? undefined : byNumber.get(number)
  const code = codeOf(error)
  if (known !== undefined) return known
  if (code !== undefined && byCode.has(code)) return byCode.get(code)
  return hasLostConnection(error) || inWords.test(messageOf(error)) ? 'unavailable' : undefined
}

/** mysql2 marks the errors after which it gives a connection up. */
function hasLostConnection(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'fatal' in error && error.fatal === true
}

function numberOf(error: unknown): number | undefined {
  const number = typeof error === 'object' && error !== null && 'errno' in error ? error.errno : undefined
  return typeof number === 'number' ? number : undefined
}

function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Node gathers the failures of several addresses under an empty message
  return error.message || (codeOf(error) ?? error.name)
}
