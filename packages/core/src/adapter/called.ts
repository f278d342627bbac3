import { OutboxError } from '../errors.ts'

/** functions whose promises have been rejected */
const rejecting = new Set<string>()

/**
 * Calls a function that the user gave, and says whose bug it is if that throws, or answers with a promise. A refusal
 * that it makes on purpose, `permanent(…)`, comes through as it is, and so does the bug of a function that it calls.
 *
 * The rejection of such a promise comes too late for the error. It is a warning of the process, the first of each
 * function: every call of it fails.
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
    throw callbackFailed(callback, `threw: ${wordsOf(cause)}`, { cause })
  }
  if (typeof Object(answer).then !== 'function') return answer
  Promise.resolve(answer).catch((cause: unknown) => {
    if (rejecting.has(callback)) return
    rejecting.add(callback)
    process.emitWarning(callbackFailed(callback, `returned a promise that was rejected: ${wordsOf(cause)}`, { cause }))
  })
  throw callbackFailed(callback, 'returned a promise: it must be synchronous')
}

function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message || thrown.name : `what is no error (${typeof thrown})`
}

/** The error of a function that the user gave, for what it answered and is no answer. */
export function callbackFailed(
  callback: string,
  problem: string,
  options?: ErrorOptions,
): OutboxError<'callback-failed'> {
  return new OutboxError('callback-failed', `The function ${callback} ${problem}`, { callback }, options)
}
