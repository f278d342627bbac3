import { once } from 'node:events'
import { createServer } from 'node:net'
import { OutboxError, permanent, unanswered } from '@outbox/core'
import { describe, expect, test } from 'vitest'
import { nameOf, reasonOf } from '../src/reason.ts'

const refused = Object.assign(new Error(''), { code: 'ECONNREFUSED' })
const fetchFailed = new TypeError('fetch failed', { cause: refused })
const cyclic = new Error('round and round')
cyclic.cause = cyclic
const trap = {
  get message(): string {
    throw new Error('a trap')
  },
}

describe('a reason', () => {
  test('is one line of at most 1,000 characters, whatever was thrown', () => {
    expect(reasonOf(new Error('two\n lines'))).toBe('two lines')
    expect(reasonOf(new Error('x'.repeat(5_000)))).toHaveLength(1_000)
    expect(reasonOf(new Error(`${'x'.repeat(999)}😀`)).isWellFormed()).toBe(true)
    expect(reasonOf(Object.create(null))).toBe('an unprintable error')
    expect(reasonOf(trap)).toBe('an unprintable error')
  })

  const cases: readonly (readonly [what: string, thrown: unknown, reason: string])[] = [
    ['a text', 'text', 'text'],
    ['nothing', undefined, 'undefined was thrown'],
    ['a number', 42, '42 was thrown'],
    ['an error without a message', new TypeError(), 'TypeError'],
    ['an error with nothing but a code', refused, 'Error (ECONNREFUSED)'],
    ['an error with a code beside its message', Object.assign(new Error('no'), { code: 'E1' }), 'no'],
    ['a cause with a code', new TypeError('fetch failed', { cause: refused }), 'fetch failed (ECONNREFUSED)'],
    ['a cause without a code', new TypeError('fetch failed', { cause: new Error('a secret') }), 'fetch failed'],
    ['a cause whose code is told already', new Error('no: ECONNREFUSED', { cause: refused }), 'no: ECONNREFUSED'],
    ['several errors', new AggregateError([refused, new Error('a secret')]), 'AggregateError (ECONNREFUSED)'],
    ['several errors, and a message', new AggregateError([refused], 'All failed'), 'All failed (ECONNREFUSED)'],
    ['several errors, of which none is there', new AggregateError([]), 'AggregateError'],
    ['a number for a code', new Error('write failed', { cause: { code: 11_000 } }), 'write failed (11000)'],
    ['null for a code', new Error('write failed', { cause: { code: null } }), 'write failed'],
    ['an object for a code', new Error('write failed', { cause: { code: {} } }), 'write failed'],
    ['the cause of a cause', unanswered('no answer', { cause: fetchFailed }), 'no answer (ECONNREFUSED)'],
    [
      'several errors of a cause',
      unanswered('no answer', { cause: new TypeError('fetch failed', { cause: new AggregateError([refused]) }) }),
      'no answer (ECONNREFUSED)',
    ],
    ['the code that is nearest', new Error('no', { cause: { code: 'NEAR', cause: refused } }), 'no (NEAR)'],
    ['a cause that is its own', cyclic, 'round and round'],
    ['an error of the outbox', permanent('too large', { cause: refused }), 'too large (ECONNREFUSED)'],
  ]
  test.each(cases)('tells %s', (_, thrown, reason) => {
    expect(reasonOf(thrown)).toBe(reason)
  })

  test('of a fetch from a port where nobody listens says so', async () => {
    const server = createServer().listen(0)
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    server.close()
    await once(server, 'close')
    const failure: unknown = await fetch(`http://localhost:${port}`).catch((error: unknown) => error)
    expect(reasonOf(failure)).toBe('fetch failed (ECONNREFUSED)')
  })
})

test('the name of an error holds nothing of its message', () => {
  expect(nameOf(new TypeError('a secret'))).toBe('TypeError')
  expect(nameOf(Object.assign(new Error('a secret'), { code: '42601' }))).toBe('Error (42601)')
  expect(nameOf(new OutboxError('busy', 'text', { system: 'database' }))).toBe('OutboxError (busy)')
  expect(nameOf(undefined)).toBe('undefined')
  expect(nameOf('a secret')).toBe('string')
})
