import { type Awaitable, type ErrorCode, OutboxError } from '@outbox/core'
import { isThenable } from './in-turn.ts'

/** The outbox error of the given code that a promise rejects with; anything else fails the check. */
export async function failure<Code extends ErrorCode>(
  code: Code,
  attempt: PromiseLike<unknown>,
): Promise<OutboxError<Code>> {
  const [outcome] = await Promise.allSettled([attempt])
  if (outcome.status === 'fulfilled') throw new Error(`Expected an OutboxError '${code}', and nothing was thrown.`)
  return expectFailure(code, outcome.reason)
}

/** Shows that what was thrown is the outbox error of the given code. */
export function expectFailure<Code extends ErrorCode>(code: Code, thrown: unknown): OutboxError<Code> {
  if (OutboxError.is(thrown, code)) return thrown
  throw new Error(`Expected an OutboxError '${code}', got: ${describeError(thrown)}`, { cause: thrown })
}

/**
 * A step of a transaction that must be refused, after which the transaction goes on: whether it throws, as with a
 * synchronous driver, whose transaction must not be handed a promise, or rejects.
 */
export function refused<Code extends ErrorCode>(
  code: Code,
  attempt: () => Awaitable<unknown>,
): Awaitable<OutboxError<Code>> {
  const accepted = (): never => {
    throw new Error(`Expected an OutboxError '${code}', and nothing was thrown.`)
  }
  let result: Awaitable<unknown>
  try {
    result = attempt()
  } catch (error) {
    return expectFailure(code, error)
  }
  return isThenable(result) ? result.then(accepted, (error: unknown) => expectFailure(code, error)) : accepted()
}

function describeError(error: unknown): string {
  if (OutboxError.is(error)) return `OutboxError '${error.code}': ${error.message}`
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
