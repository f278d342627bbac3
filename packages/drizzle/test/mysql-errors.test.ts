import { inspect } from 'node:util'
import { event, OutboxError } from '@outbox/core'
import { entriesFrom } from '@outbox/core/adapter'
import { describe, expect, test, vi } from 'vitest'
import { saysTransactionIsOpen, translated as translatedFor, violatedIndex } from '../src/mysql/errors.ts'
import { findConflict, knownAmong } from '../src/mysql/known.ts'
import { namesIn } from '../src/mysql/names.ts'
import { sessionOn } from '../src/mysql/session.ts'

const limits = { newId: () => crypto.randomUUID(), now: Date.now, maxPayloadBytes: 1_000 }

const translated = (error: unknown) => translatedFor(error, { names: namesIn(), use: 'enqueue' })

describe('what an error of the database means', () => {
  test.each([
    [1213, 'busy'],
    [1205, 'busy'],
    [1020, 'busy'],
    [1317, 'busy'],
    [1412, 'busy'],
    [3024, 'busy'],
    [1969, 'busy'],
    [3572, 'busy'],
    [1180, 'busy'],
    [1206, 'busy'],
    [1040, 'unavailable'],
    [1053, 'unavailable'],
    [1047, 'unavailable'],
    [1114, 'unavailable'],
    [1290, 'unavailable'],
    [1792, 'unavailable'],
    [1836, 'unavailable'],
    [1927, 'unavailable'],
    [4031, 'unavailable'],
    [1637, 'unavailable'],
    [3032, 'unavailable'],
    [3100, 'unavailable'],
    [1146, 'setup-required'],
    [1054, 'setup-required'],
    [1049, 'setup-required'],
    [1046, 'setup-required'],
    [1176, 'setup-required'],
    [1142, 'setup-required'],
    [1227, 'setup-required'],
    [1045, 'setup-required'],
    [1524, 'setup-required'],
    [3159, 'setup-required'],
    [3955, 'setup-required'],
    [1153, 'setup-required'],
  ])('%i is %s', (errno, meaning) => {
    const cause = serverError(errno)
    const error = translated(cause)
    expect(error).toMatchObject({ code: meaning, cause })
    expect(OutboxError.is(error) && error.isRetryable).toBe(meaning !== 'setup-required')
  })

  test.each(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'ENOTFOUND', 'ENOENT', 'PROTOCOL_CONNECTION_LOST'])(
    '%s is unavailable',
    (code) => {
      expect(translated(Object.assign(new Error('gone'), { code }))).toMatchObject({ code: 'unavailable' })
    },
  )

  test.each([
    'Pool is closed.',
    'No connections available.',
    'Queue limit reached.',
    "Can't add new command when connection is in closed state",
  ])('"%s", which has no code, is unavailable', (message) => {
    expect(translated(new Error(message))).toMatchObject({ code: 'unavailable' })
  })

  test('what ends a connection is an outage, whatever it is called', () => {
    const cause = Object.assign(new Error('handshake failed'), { code: 'HANDSHAKE_SSL_ERROR', fatal: true })
    expect(translated(cause)).toMatchObject({ code: 'unavailable', cause })
    expect(translated(Object.assign(serverError(1045), { fatal: true }))).toMatchObject({ code: 'setup-required' })
  })

  test('a read-only server is told apart from one that is away', () => {
    const error = translated(serverError(1290, 'The MySQL server is running with the --read-only option'))
    expect(String(error)).toContain('read-only here')
  })

  test('a refused privilege is named with what the call needs on that table', () => {
    const said = "INSERT command denied to user 'shop'@'localhost' for table 'outbox_entries'"
    expect(translated(serverError(1142, said))).toMatchObject({
      details: { missing: ['one of the privileges SELECT and INSERT on outbox_entries'] },
    })
  })

  test('neither drizzle’s wrapping nor the statement comes out: they hold payloads', () => {
    const sql = `insert into outbox_entries values ('{"card":"4111"}')`
    const cause = Object.assign(serverError(1366, 'Incorrect value'), { sql })
    const wrapped = Object.assign(new Error(`Failed query: ${sql}`, { cause }), { query: sql })
    const error = translated(wrapped)
    expect(error).toBe(cause)
    expect(inspect(error, { depth: 9 })).not.toContain('4111')
    const known = translated(new Error(sql, { cause: Object.assign(serverError(1213), { sql }) }))
    expect(inspect(known, { depth: 9 })).not.toContain('4111')
  })

  test('what is not known, and what is an OutboxError already, comes out as it is', () => {
    const unknown = serverError(1235)
    expect(translated(unknown)).toBe(unknown)
    expect(translated('a text')).toBe('a text')
    const own = new OutboxError('busy', 'busy', { system: 'mysql' })
    expect(translated(own)).toBe(own)
  })
})

describe('how often a statement that commits by itself is sent', () => {
  test.each([
    ['after a deadlock', 1213, 10],
    ['after a time-out: it has waited long enough', 1205, 2],
    ['after an outage', 1053, 1],
  ])('%s', async (_what, errno, times) => {
    const execute = vi.fn(() => Promise.reject(serverError(errno)))
    const session = sessionOn({ execute } as never, { names: namesIn(), use: 'relay' })
    await expect(session.read('select 1')).rejects.toThrow(OutboxError)
    expect(execute).toHaveBeenCalledTimes(times)
  })
})

test('an event that is met behind the snapshot is `busy` for a user who may not lock, as on MySQL before 8.0.22', async () => {
  const refused = translated(serverError(1142, "SELECT with locking clause command denied for table 'outbox_entries'"))
  const read = vi.fn((text: string) => (text.includes('share mode') ? Promise.reject(refused) : Promise.resolve([])))
  const session = { read, write: () => expect.fail('nothing is written') }
  const [entry] = entriesFrom(event('order.placed', { aggregateId: '1', sequence: 1, payload: {} }), limits)
  if (!entry) expect.fail('one was asked for')
  await expect(knownAmong(session, namesIn(), [entry])).rejects.toMatchObject({ code: 'busy', cause: refused })
  await expect(findConflict(session, namesIn(), [{ ...entry, sequence: 1 }])).rejects.toMatchObject({ code: 'busy' })
})

describe('which unique index was violated', () => {
  const indexes = ['outbox_entries_id', 'outbox_entries_sequence']

  test.each([
    ["Duplicate entry '\\x01' for key 'outbox_entries.outbox_entries_id'", 'outbox_entries_id'],
    ["Duplicate entry 'order-1-7' for key 'outbox_entries_sequence'", 'outbox_entries_sequence'],
    ["Doppelter Eintrag 'outbox_entries_id-7' für Schlüssel 'outbox_entries_sequence'", 'outbox_entries_sequence'],
    ["Duplicate entry '1' for key 'PRIMARY'", undefined],
  ])('%s', (said, index) => {
    expect(violatedIndex(serverError(1062, said), indexes)).toBe(index)
    expect(violatedIndex(new Error('wrapped', { cause: serverError(1062, said) }), indexes)).toBe(index)
  })

  test('any other error violates none', () => {
    expect(violatedIndex(serverError(1213, 'outbox_entries_id'), indexes)).toBeUndefined()
    expect(violatedIndex(undefined, indexes)).toBeUndefined()
  })
})

test('the refusal that shows an open transaction', () => {
  expect(saysTransactionIsOpen(new Error('wrapped', { cause: serverError(1568) }))).toBe(true)
  expect(saysTransactionIsOpen(serverError(1213))).toBe(false)
})

function serverError(errno: number, message = 'said the server'): Error {
  return Object.assign(new Error(message), { code: `ER_${errno}`, errno, sqlState: 'HY000' })
}
