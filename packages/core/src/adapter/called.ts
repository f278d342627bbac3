import { OutboxError } from '../errors.ts'

/**
 * Calls a function that the user gave, and says whose bug it is if that throws, or answers with a promise. A refusal
 * that it makes on purpose, `permanent(…)`, comes through as it is, and so does the bug of a function that it calls.
 *
 * @param callback - names the function: `stream of redisPublisher`
 * @throws {OutboxError} `callback-failed`, with what was thrown as its cause
 */
export function called<T>(callback: string, call: () => T): T {
  let answer: T
  try {
    answer = call()
  } catch (cause) {
    if (OutboxError.is(cause, 'rejected') || OutboxError.is(cause, 'callback-failed')) throw cause
    const what = cause instanceof Error ? cause.message || cause.name : `what is no error (${typeof cause})`
    throw callbackFailed(callback, `threw: ${what}`, { cause })
  }
  if (typeof Object(answer).then !== 'function') return answer
  void Promise.resolve(answer).catch(() => undefined) // nobody needs it, and its rejection would end the process
  throw callbackFailed(callback, 'returned a promise: it must be synchronous')
}

/** The error of a function that the user gave, for what it answered and is no answer. */
export function callbackFailed(
  callback: string,
  problem: string,
  options?: ErrorOptions,
): OutboxError<'callback-failed'> {
  return new OutboxError('callback-failed', `The function ${callback} ${problem}`, { callback }, options)
}
