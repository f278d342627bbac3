import { expect, test, vi } from 'vitest'
import { called } from '../src/adapter/index.ts'
import { OutboxError, permanent, unavailable } from '../src/index.ts'

function failureOf(thrown: unknown): unknown {
  try {
    return called('stream of redisPublisher', () => {
      throw thrown
    })
  } catch (error) {
    return error
  }
}

test('a function of the user gives what it gives', () => {
  expect(called('stream of redisPublisher', () => 'orders')).toBe('orders')
})

test('what a function of the user throws says whose bug it is, and keeps the cause', () => {
  const bug = new TypeError('tenant is undefined')
  const error = failureOf(bug)
  expect(OutboxError.is(error, 'callback-failed')).toBe(true)
  expect(error).toMatchObject({
    message: 'The function stream of redisPublisher threw: tenant is undefined',
    details: { callback: 'stream of redisPublisher' },
    cause: bug,
    isRetryable: false,
  })
  expect(failureOf(new RangeError(''))).toMatchObject({ message: expect.stringMatching(/threw: RangeError$/) })
  expect(failureOf(undefined)).toMatchObject({
    message: expect.stringMatching(/threw: what is no error \(undefined\)$/),
  })
  expect(failureOf(unavailable('no directory'))).toMatchObject({ code: 'callback-failed' })
})

test('what a function of the user refuses for ever on purpose comes through', () => {
  const refusal = permanent('no such tenant')
  expect(failureOf(refusal)).toBe(refusal)
})

test('a promise is no answer, and one that rejects ends no process: it is a warning, once', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockReturnValue()
  const rejection = new Error('no tenant')
  for (const promise of [Promise.resolve('orders'), Promise.reject(rejection), Promise.reject(rejection)]) {
    expect(() => called('stream of redisPublisher', () => promise)).toThrow(
      expect.objectContaining({
        code: 'callback-failed',
        message: 'The function stream of redisPublisher returned a promise: it must be synchronous',
        details: { callback: 'stream of redisPublisher' },
      }),
    )
  }
  await new Promise((resolve) => setImmediate(resolve)) // a rejection that nobody handles fails the run
  expect(warned.mock.calls).toEqual([
    [
      expect.objectContaining({
        code: 'callback-failed',
        message: 'The function stream of redisPublisher returned a promise that was rejected: no tenant',
        cause: rejection,
      }),
    ],
  ])
  warned.mockRestore()
})

test('one function within another is blamed alone', () => {
  const inner = failureOf(new Error('a bug'))
  expect(failureOf(inner)).toBe(inner)
})
