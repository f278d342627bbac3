import { inspect } from 'node:util'
import { OutboxError, partitionOf } from '@outbox/core'
import { describe, expect, test } from 'vitest'
import { translatedConflict, translated as translatedFor } from '../src/pg/errors.ts'
import { namesIn } from '../src/pg/names.ts'

const translated = (error: unknown) => translatedFor(error, { names: namesIn(), use: 'enqueue' })

describe('what an error of the database means', () => {
  test.each([
    ['40001', 'busy'],
    ['40P01', 'busy'],
    ['55P03', 'busy'],
    ['57014', 'busy'],
    ['57P01', 'unavailable'],
    ['57P03', 'unavailable'],
    ['08006', 'unavailable'],
    ['53300', 'unavailable'],
    ['58030', 'unavailable'],
    ['25006', 'unavailable'],
    ['ECONNREFUSED', 'unavailable'],
    ['ECONNRESET', 'unavailable'],
    ['ENOTFOUND', 'unavailable'],
    ['CONNECTION_ENDED', 'unavailable'],
    ['CONNECT_TIMEOUT', 'unavailable'],
    ['42P01', 'setup-required'],
    ['42703', 'setup-required'],
    ['42501', 'setup-required'],
    ['28P01', 'setup-required'],
    ['28000', 'setup-required'],
    ['3D000', 'setup-required'],
  ])('%s is %s', (code, meaning) => {
    const cause = driverError(code)
    const error = translated(cause)
    expect(error).toMatchObject({ code: meaning, cause })
    expect(OutboxError.is(error) && error.isRetryable).toBe(meaning !== 'setup-required')
  })

  test.each([
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
    'Cannot use a pool after calling end on the pool',
    'PGlite is closed',
  ])('"%s", which has no code, is unavailable', (message) => {
    expect(translated(new Error(message))).toMatchObject({ code: 'unavailable' })
  })

  test.each([
    ['08006', /cannot be reached/],
    ['53100', /answers, and cannot do this now/],
    ['58030', /answers, and cannot do this now/],
  ])('the text of %s says whether the server was reached', (code, words) => {
    expect(translated(driverError(code))).toMatchObject({ message: expect.stringMatching(words) })
  })

  test('a socket that is not there is unavailable, another file that is not is none of ours', () => {
    const missing = driverError('ENOENT')
    expect(translated(Object.assign(driverError('ENOENT'), { syscall: 'connect' }))).toMatchObject({
      code: 'unavailable',
    })
    expect(translated(Object.assign(missing, { syscall: 'open' }))).toBe(missing)
  })

  test.each([
    'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string',
    'The server does not support SSL connections',
  ])('"%s", which has no code, is a mistake in the set-up', (message) => {
    expect(translated(new Error(message))).toMatchObject({ code: 'setup-required' })
  })

  test('a role that lacks a privilege is told which ones its call needs on that table', () => {
    const refused = (name: string) => Object.assign(new Error(`permission denied for table ${name}`), { code: '42501' })
    expect(translated(refused('outbox_sequences'))).toMatchObject({
      code: 'setup-required',
      details: { missing: ['one of the privileges SELECT, INSERT and UPDATE on outbox_sequences'] },
    })
    expect(translated(refused('my_outbox_sequences'))).toMatchObject({
      details: { missing: ['permission denied for table my_outbox_sequences'] },
    })
  })

  test('what a driver or the server quotes of a row is taken off, on a copy of the same class', () => {
    class DriverError extends Error {
      readonly code = '23514'
      readonly detail = 'Failing row contains (secret).'
      readonly where = 'JSON data, line 1: secret'
      readonly table = 'outbox_entries'
    }
    const given = Object.defineProperty(new DriverError('violates check constraint'), 'query', {
      value: "… 'secret' …",
    })
    const error = translated(given)
    expect(error).toBeInstanceOf(DriverError)
    expect(error).toMatchObject({ message: 'violates check constraint', code: '23514', table: 'outbox_entries' })
    expect(inspect(error, { showHidden: true })).not.toContain('secret')
    expect(given.detail).toContain('secret')
  })

  test('a PGlite handle whose transaction has ended is a finished one', () => {
    expect(translated(new Error('Transaction is closed'))).toMatchObject({
      code: 'not-a-transaction',
      details: { reason: 'finished' },
    })
  })

  test('what is not known stays the driver’s own error', () => {
    for (const code of ['22001', '23514', 'XX000', 'EWHATEVER', '0', '']) {
      const cause = driverError(code)
      expect(translated(cause)).toBe(cause)
    }
    expect(translated('a string')).toBe('a string')
  })

  test('drizzle’s wrapping, whose message quotes the parameters, is taken off', () => {
    const cause = driverError('22001')
    expect(translated(new Error('Failed query: … params: secret', { cause }))).toBe(cause)
    const busy = translated(new Error('Failed query: … params: secret', { cause: driverError('40001') }))
    expect(JSON.stringify(busy) + String(busy)).not.toContain('secret')
  })

  test('an outbox error comes out as it went in', () => {
    const error = new OutboxError('busy', 'once', { system: 'postgresql' })
    expect(translated(error)).toBe(error)
  })
})

describe('a violated unique index', () => {
  const index = 'outbox_entries_sequence'
  const entry = (aggregateType: string, aggregateId: string, sequence: number | undefined) => ({
    ...{ id: '0193a5c2-7d0e-7f00-8000-0123456789ab', eventType: 'a.b', payload: '{}', headers: {} },
    ...{ aggregateType, aggregateId, sequence, occurredAt: new Date(0) },
    partition: partitionOf(aggregateType, aggregateId),
  })
  const batch = [entry('order', 'a', 1), entry('o, (r)', 'b, c)=(d', 12), entry('order', 'a', 2)]

  test.each([
    ['English', 'Key (aggregate_type, aggregate_id, sequence)=(o, (r), b, c)=(d, 12) already exists.'],
    ['German', 'Schlüssel »(aggregate_type, aggregate_id, sequence)=(o, (r), b, c)=(d, 12)« existiert bereits.'],
  ])('names the conflicting entry of the batch from a detail in %s', (_, detail) => {
    const cause = { ...driverError('23505'), constraint: index, detail }
    expect(translatedConflict(cause, namesIn(), batch)).toMatchObject({
      code: 'sequence-conflict',
      details: { aggregateType: 'o, (r)', aggregateId: 'b, c)=(d', sequence: 12 },
    })
  })

  test('is understood in the words of postgres-js too', () => {
    const detail = 'Key (aggregate_type, aggregate_id, sequence)=(order, a, 2) already exists.'
    const cause = { ...driverError('23505'), constraint_name: index, detail }
    expect(translatedConflict(cause, namesIn(), batch)).toMatchObject({ details: { aggregateId: 'a', sequence: 2 } })
  })

  test('of a number that the store gave is read from the detail', () => {
    const detail = 'Key (aggregate_type, aggregate_id, sequence)=(order, x, y, 5) already exists.'
    const cause = { ...driverError('23505'), constraint: index, detail }
    expect(translatedConflict(cause, namesIn(), [entry('order', 'x, y', undefined)])).toMatchObject({
      details: { aggregateType: 'order', aggregateId: 'x, y', sequence: 5 },
    })
  })

  test('of something else is none of ours', () => {
    const cause = { ...driverError('23505'), constraint: 'orders_pkey', detail: 'Key (id)=(1) already exists.' }
    expect(translatedConflict(cause, namesIn(), batch)).toBe(cause)
  })
})

function driverError(code: string): Error & { readonly code: string } {
  return Object.assign(new Error('as the driver says it'), { code })
}
