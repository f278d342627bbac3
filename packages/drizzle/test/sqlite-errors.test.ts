import { OutboxError } from '@outbox/core'
import { DrizzleQueryError } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { outboxErrorFrom } from '../src/sqlite/errors.ts'

function driverError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

test.each([
  ['SQLITE_BUSY', 'database is locked', 'busy'],
  ['SQLITE_BUSY_SNAPSHOT', 'database is locked', 'busy'],
  ['SQLITE_BUSY_RECOVERY', 'database is locked', 'busy'],
  ['SQLITE_LOCKED', 'database table is locked', 'busy'],
  ['SQLITE_LOCKED_SHAREDCACHE', 'database table is locked', 'busy'],
  ['SQLITE_CANTOPEN', 'unable to open database file', 'unavailable'],
  ['SQLITE_CANTOPEN_ISDIR', 'unable to open database file', 'unavailable'],
  ['SQLITE_IOERR_WRITE', 'disk I/O error', 'unavailable'],
  ['SQLITE_READONLY', 'attempt to write a readonly database', 'unavailable'],
  ['SQLITE_READONLY_DIRECTORY', 'attempt to write a readonly database', 'unavailable'],
  ['SQLITE_FULL', 'database or disk is full', 'unavailable'],
  ['SQLITE_PROTOCOL', 'locking protocol', 'unavailable'],
  ['SQLITE_CORRUPT', 'database disk image is malformed', 'unavailable'],
  ['SQLITE_CORRUPT_INDEX', 'database disk image is malformed', 'unavailable'],
  ['SQLITE_NOTADB', 'file is not a database', 'unavailable'],
  ['TRANSACTION_ACTIVE', 'This client has a single connection', 'busy'],
  ['TRANSACTION_BUSY', 'Server cannot handle additional transactions', 'busy'],
  ['TRANSACTION_TIMEOUT', 'Transaction timed out', 'busy'],
  ['CLIENT_CLOSED', 'The client is closed', 'unavailable'],
  ['HRANA_WEBSOCKET_ERROR', 'closed', 'unavailable'],
] as const)('%s (%s) is %s', (code, message, expected) => {
  const cause = driverError(code, message)
  const error = outboxErrorFrom(cause)
  expect(OutboxError.is(error, expected)).toBe(true)
  expect(error).toMatchObject({ isRetryable: true, cause, details: { system: 'sqlite' } })
  expect(error).toMatchObject({ message: expect.stringContaining(code) })
})

test.each([
  ['no such table: outbox_entries', 'table outbox_entries'],
  ['no such table: main.outbox_entries', 'table outbox_entries'],
  ['no such column: blocked_by', 'column blocked_by'],
  ['no such index: outbox_pending_scan', 'index outbox_pending_scan'],
  ['table outbox_entries has no column named state', 'column state'],
])('"%s" asks for set-up, naming the %s', (message, missing) => {
  expect(outboxErrorFrom(driverError('SQLITE_ERROR', message))).toMatchObject({
    code: 'setup-required',
    details: { missing: [missing] },
  })
})

test('what the drivers say without a code is understood too', () => {
  for (const [message, code] of [
    ['The database connection is not open', 'unavailable'],
    ['This database connection is busy executing a query', 'busy'],
    ['ConnectionFailed("Unable to open connection to local database /srv/shop.db: 14")', 'unavailable'],
  ] as const) {
    const error = outboxErrorFrom(driverError('', message))
    expect(error).toMatchObject({ code })
    expect(error).toMatchObject({ message: expect.not.stringContaining('/srv') })
  }
})

test('of an error of libsql the longer code is told, and the stem decides', () => {
  const error = Object.assign(driverError('SQLITE_BUSY', 'database is locked'), {
    extendedCode: 'SQLITE_BUSY_SNAPSHOT',
  })
  expect(outboxErrorFrom(error)).toMatchObject({
    code: 'busy',
    message: expect.stringContaining('SQLITE_BUSY_SNAPSHOT'),
  })
})

test('a statement that comes after the end of its transaction is told as such', () => {
  expect(outboxErrorFrom(driverError('TRANSACTION_CLOSED', 'The transaction is closed'))).toMatchObject({
    code: 'not-a-transaction',
    details: { reason: 'finished' },
  })
})

test('a file that was deleted under an open connection is told as such', () => {
  expect(outboxErrorFrom(driverError('SQLITE_READONLY_DBMOVED', 'attempt to write a readonly database'))).toMatchObject(
    { code: 'unavailable', message: expect.stringContaining('deleted or moved') },
  )
})

test('an error that drizzle has wrapped is found in it', () => {
  const wrapped = new DrizzleQueryError('select 1', [], driverError('SQLITE_BUSY', 'database is locked'))
  expect(outboxErrorFrom(wrapped)).toMatchObject({ code: 'busy', cause: wrapped })
})

test('what is not in the table comes out as it is', () => {
  for (const error of [
    driverError('SQLITE_CONSTRAINT_CHECK', 'CHECK constraint failed'),
    driverError('SQLITE_BUSYNESS', 'no such code'),
    new TypeError('x is not a function'),
    'a string',
    undefined,
  ]) {
    expect(outboxErrorFrom(error)).toBe(error)
  }
})
