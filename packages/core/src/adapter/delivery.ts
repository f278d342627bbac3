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
