import { OutboxError } from '@outbox/core'
import { DrizzleQueryError } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { isUniqueViolation, outboxErrorFrom } from '../src/sqlite/errors.ts'

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
  ['table outbox_entries has no column named state', 'column state'],
])('"%s" asks for set-up, naming the %s', (message, missing) => {
  expect(outboxErrorFrom(driverError('SQLITE_ERROR', message))).toMatchObject({
    code: 'setup-required',
    details: { missing: [missing] },
  })
})

test('what better-sqlite3 says without a code is understood too', () => {
  expect(outboxErrorFrom(new TypeError('The database connection is not open'))).toMatchObject({ code: 'unavailable' })
  expect(outboxErrorFrom(new TypeError('This database connection is busy executing a query'))).toMatchObject({
    code: 'busy',
  })
})

test('an error that drizzle has wrapped is found in it', () => {
  const wrapped = new DrizzleQueryError('select 1', [], driverError('SQLITE_BUSY', 'database is locked'))
  expect(outboxErrorFrom(wrapped)).toMatchObject({ code: 'busy', cause: wrapped })
})

test('what is not in the table comes out as it is', () => {
  for (const error of [
    driverError('SQLITE_CORRUPT', 'database disk image is malformed'),
    driverError('SQLITE_BUSYNESS', 'no such code'),
    new TypeError('x is not a function'),
    'a string',
    undefined,
  ]) {
    expect(outboxErrorFrom(error)).toBe(error)
  }
})

test('a unique index that refuses a row is told from other constraints', () => {
  expect(isUniqueViolation(driverError('SQLITE_CONSTRAINT_UNIQUE', 'UNIQUE constraint failed'))).toBe(true)
  expect(isUniqueViolation(driverError('SQLITE_CONSTRAINT_CHECK', 'CHECK constraint failed'))).toBe(false)
  expect(isUniqueViolation(new Error('no'))).toBe(false)
})
