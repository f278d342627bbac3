import { OutboxError } from '../errors.ts'

/**
 * Calls a function that the user gave, and says whose bug it is if that throws. A refusal that it makes on purpose,
 * `permanent(…)`, comes through as it is.
 *
 * @param callback - names the function: `stream of redisPublisher`
 * @throws {OutboxError} `callback-failed`, with what was thrown as its cause
 */
export function called<T>(callback: string, call: () => T): T {
  try {
    return call()
  } catch (cause) {
    if (OutboxError.is(cause, 'rejected')) throw cause
    const what = cause instanceof Error ? cause.message || cause.name : `what is no error (${typeof cause})`
    throw new OutboxError('callback-failed', `The function ${callback} threw: ${what}`, { callback }, { cause })
  }
}
