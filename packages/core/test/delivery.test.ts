import { describe, expect, it } from 'vitest'
import { checkDelivery, checkHandled } from '../src/adapter/index.ts'
import { limits, OutboxError } from '../src/index.ts'

const handler = (): void => undefined

/** The error that a delivery is refused with. */
function refusal(consumer: unknown, messageId: unknown, given: unknown): OutboxError<'invalid-option'> {
  try {
    checkDelivery(consumer, messageId, given)
  } catch (error) {
    if (OutboxError.is(error, 'invalid-option')) return error
    throw error
  }
  throw new Error('the delivery was not refused')
}

describe('checkDelivery', () => {
  it('takes names of any text, up to their limits in bytes of UTF-8', () => {
    checkDelivery('billing', '0193a5c2-7d0e-7f00-8000-0123456789ab', handler)
    checkDelivery(' ', "it's \u00e4 😀", async () => undefined)
    checkDelivery('x'.repeat(limits.consumerBytes), `${'ü'.repeat(127)}x`, handler)
  })

  it.each([
    [undefined, 'is missing, not a string'],
    [42, 'is a number, not a string'],
    ['', 'is empty'],
    ['a\u0000b', 'contains a control character'],
    ['a\ud83d', 'contains a lone surrogate'],
    ['x'.repeat(256), 'is 256 bytes long; the limit is 255'],
    ['ü'.repeat(128), 'is 256 bytes long; the limit is 255'],
  ])('refuses %j, naming the argument and the fault', (name, fault) => {
    for (const [option, error] of [
      ['consumer', refusal(name, 'm-1', handler)],
      ['messageId', refusal('billing', name, handler)],
    ] as const) {
      expect(error.details).toEqual({ option })
      expect(error.message).toContain(`once(): ${option} ${fault}`)
      expect(error.message).toContain('The handler did not run.')
      expect(error.isRetryable).toBe(false)
    }
  })

  it.each([[undefined], [null], ['handler'], [Promise.resolve()]])('refuses %s as a handler', (given) => {
    expect(refusal('billing', 'm-1', given).details).toEqual({ option: 'handler' })
  })

  it('shows no name in its message', () => {
    expect(refusal('billing', `secret-${'x'.repeat(300)}`, handler).message).not.toContain('secret')
  })
})

describe('checkHandled', () => {
  it.each<[string, unknown, string]>([
    ['a function that nobody called', () => undefined, 'a function'],
    ['queries that nobody awaited', [1, Promise.resolve()], 'a list of promises or queries'],
    ['a generator', (function* () {})(), 'a generator'],
    ['an asynchronous generator', (async function* () {})(), 'a generator'],
  ])('refuses %s: the message would count as handled', (_, result, what) => {
    expect(() => checkHandled(result)).toThrow(`handler gave back ${what}, and nobody does that work`)
  })

  it.each([undefined, null, 0, 'text', true, {}, [], [1, null], { rows: [] }, new Map()])('takes %j', (result) => {
    checkHandled(result)
  })
})
