import { OutboxError } from '../errors.ts'
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
