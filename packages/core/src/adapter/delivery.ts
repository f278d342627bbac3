import { OutboxError } from '../errors.ts'
import { kindOf } from '../kind.ts'
import { checkName, limits } from '../limits.ts'

/**
 * For inboxes: checks what `once` was given, before anything is sent.
 *
 * @throws {OutboxError} `invalid-option`, naming the argument, what is wrong with it, and the limit
 */
export function checkDelivery(consumer: unknown, messageId: unknown, handler: unknown): void {
  const refuse = (argument: string, fault: string): OutboxError<'invalid-option'> =>
    new OutboxError('invalid-option', `once(): ${argument} ${fault}. The handler did not run.`, { option: argument })
  // names are told as events' names are; the code says which kind of mistake it was
  const refuseName = (path: string, message: string): Error => refuse(path, message)
  checkName('consumer', consumer, limits.consumerBytes, refuseName)
  checkName('messageId', messageId, limits.messageIdBytes, refuseName)
  if (typeof handler !== 'function') throw refuse('handler', 'is no function')
}

/**
 * For inboxes: refuses what a handler gave back that is work which nobody does: the message would count as handled
 * without it. To be given what the handler's promise resolved to.
 *
 * @throws {OutboxError} `invalid-option`: the transaction is to be rolled back
 */
export function checkHandled(result: unknown): void {
  const left = workIn(result)
  if (left === undefined) return
  throw new OutboxError(
    'invalid-option',
    `once(): handler gave back ${left}, and nobody does that work. Roll this transaction back, and let the handler do it: call the function, or await Promise.all(…).`,
    { option: 'handler' },
  )
}

function workIn(result: unknown): string | undefined {
  if (typeof result === 'function') return 'a function'
  if (Array.isArray(result)) return result.some(isThenable) ? 'a list of promises or queries' : undefined
  const kind = kindOf(Object(result))
  return kind === 'Generator' || kind === 'AsyncGenerator' ? 'a generator' : undefined
}

/** Whether a value is a promise, or a query that `await` would run. */
export function isThenable(value: unknown): boolean {
  return typeof Object(value).then === 'function'
}

/**
 * For inboxes: the error of a `once` whose handler ended well, and outside of the transaction in which the message was
 * marked. To be thrown whenever that is no longer open when the handler has ended.
 */
export function endedUnderHandler(options?: ErrorOptions): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    'The transaction ended before the handler did, and what the handler wrote after that may stand outside of it. If it was committed, the message counts as handled; if it was rolled back, as by a deadlock, the message will be handled again. Await once() inside the callback of the transaction, and let errors of the database end it: a handler that catches one must not go on.',
    { reason: 'finished' },
    options,
  )
}
