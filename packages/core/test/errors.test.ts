import { expect, expectTypeOf, test } from 'vitest'
import { type ErrorCode, OutboxError, permanent, unanswered, unavailable } from '../src/index.ts'

/** A second copy of the module, as two versions of the package in one process would load it. */
async function otherCopy(): Promise<typeof import('../src/errors.ts')> {
  const address = '../src/errors.ts?second-copy'
  return import(address)
}

test('an error carries its code, its details, its cause, and says who it is', () => {
  const cause = new Error('23505')
  const error = new OutboxError(
    'sequence-conflict',
    'Sequence 3 is taken.',
    { aggregateType: 'order', aggregateId: '1', sequence: 3 },
    { cause },
  )
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'OutboxError',
    message: 'Sequence 3 is taken.',
    code: 'sequence-conflict',
    details: { aggregateType: 'order', aggregateId: '1', sequence: 3 },
    cause,
  })
  expect(String(error)).toBe('OutboxError: Sequence 3 is taken.')
  expect(error.stack).toContain('errors.test.ts')
})

test('the only errors worth trying again are an outage, an answer that is missing, and a conflict of locks', () => {
  const codes: Record<ErrorCode, boolean> = {
    'invalid-event': false,
    'invalid-option': false,
    'not-a-transaction': false,
    'sequence-conflict': false,
    'sequence-source-mixed': false,
    'setup-required': false,
    rejected: false,
    'callback-failed': false,
    unavailable: true,
    unanswered: true,
    busy: true,
  }
  for (const [code, isRetryable] of Object.entries(codes)) {
    const error = new OutboxError(code as 'busy', 'text', { system: 'database' })
    expect([code, error.isRetryable]).toEqual([code, isRetryable])
  }
})

test('OutboxError.is knows an outbox error by any code, or by the one that is named', () => {
  const error: unknown = new OutboxError('busy', 'deadlock', { system: 'database' })
  expect(OutboxError.is(error)).toBe(true)
  expect(OutboxError.is(error, 'busy')).toBe(true)
  expect(OutboxError.is(error, 'unavailable')).toBe(false)
})

test('OutboxError.is is a callback too, which is given an index', () => {
  expect([new Error('no'), new OutboxError('busy', 'try again', { system: 'x' })].findIndex(OutboxError.is)).toBe(1)
})

test('OutboxError.is narrows to the details of the code', () => {
  const error: unknown = new OutboxError('invalid-option', 'text', { option: 'leaseMs' })
  if (!OutboxError.is(error, 'invalid-option')) return expect.unreachable()
  expectTypeOf(error.details).toEqualTypeOf<{ readonly option: string }>()
  expect(error.details.option).toBe('leaseMs')
})

test.each([
  ['nothing', undefined],
  ['null', null],
  ['text', 'busy'],
  ['another error', new Error('busy')],
  ['an error that borrows the name and a code', Object.assign(new Error('x'), { name: 'OutboxError', code: 'busy' })],
  ['a function', () => {}],
])('OutboxError.is does not take %s for one', (_, value) => {
  expect(OutboxError.is(value)).toBe(false)
})

test('OutboxError.is survives two copies of the package, both ways', async () => {
  const copy = await otherCopy()
  expect(copy.OutboxError).not.toBe(OutboxError)
  const theirs: unknown = new copy.OutboxError('busy', 'text', { system: 'database' })
  const ours: unknown = new OutboxError('busy', 'text', { system: 'database' })
  expect(theirs instanceof OutboxError).toBe(true)
  expect(OutboxError.is(theirs, 'busy')).toBe(true)
  expect(copy.OutboxError.is(ours, 'busy')).toBe(true)
  expect(OutboxError.is(theirs, 'unavailable')).toBe(false)
})

test('instanceof narrows by code, and asks a subclass for itself', () => {
  class Special extends OutboxError<'busy'> {}
  const special: unknown = new Special('busy', 'text', { system: 'database' })
  const error: unknown = new OutboxError('invalid-option', 'text', { option: 'x' })
  expect([special instanceof Special, special instanceof OutboxError]).toEqual([true, true])
  expect([error instanceof Special, new Error('no') instanceof OutboxError]).toEqual([false, false])
  if (!(error instanceof OutboxError) || error.code !== 'invalid-option') return expect.unreachable()
  expectTypeOf(error.details).toEqualTypeOf<{ readonly option: string }>()
})

test('an error in the place of options is the cause', () => {
  const cause = new Error('ECONNREFUSED', { cause: new Error('of the cause') })
  expect(unavailable('kafka is away', cause).cause).toBe(cause)
  expect(new OutboxError('busy', 'text', { system: 'x' }, cause).cause).toBe(cause)
})

test('permanent, unavailable and unanswered say what a send function found, of the system that it names', () => {
  const cause = new Error('413')
  expect(permanent('too large', { cause })).toMatchObject({
    code: 'rejected',
    message: 'too large',
    details: { system: 'broker' },
    isRetryable: false,
    cause,
  })
  expect(unavailable('refused', { system: 'webhook' })).toMatchObject({
    code: 'unavailable',
    details: { system: 'webhook' },
    isRetryable: true,
  })
  expect(unanswered('cut off', { cause })).toMatchObject({
    code: 'unanswered',
    message: 'cut off',
    details: { system: 'broker' },
    isRetryable: true,
    cause,
  })
})
