import type { Awaitable, InboxStore } from '@outbox/core'
import {
  checkDelivery,
  checkedPurge,
  checkHandled,
  endedUnderHandler,
  invalidOption,
  knownOptions,
} from '@outbox/core/adapter'
import { markKey, purgeMarks } from './marks.ts'
import { internals, type MemoryOutbox } from './memory-outbox.ts'
import type { MemoryTransaction } from './transaction.ts'

export interface MemoryInboxOptions {
  /** whose transactions `once` runs in: the database that the consumer writes to, so to speak */
  readonly outbox: MemoryOutbox
}

export interface MemoryInbox extends InboxStore<MemoryTransaction> {
  readonly once: (
    tx: MemoryTransaction,
    consumer: string,
    messageId: string,
    handler: () => Awaitable<unknown>,
  ) => Promise<boolean>
}

/**
 * An inbox in the memory of an outbox: a message is marked in the same transaction in which its handler enqueues.
 *
 * For tests of consumers. Deliveries of one message that run at once wait for each other; two transactions that handle
 * two messages crosswise are a deadlock, which one is told as `busy`. All inboxes of one outbox are the same inbox.
 *
 * @example
 * ```ts
 * const inbox = memoryInbox({ outbox })
 * const isFirst = await outbox.transaction((tx) =>
 *   inbox.once(tx, 'billing', message.id, async () => {
 *     await outbox.enqueue(tx, event('invoice.sent', { aggregateId: '7', payload: {} }))
 *   }),
 * )
 * ```
 * @throws {OutboxError} `invalid-option`
 */
export function memoryInbox(options: MemoryInboxOptions): MemoryInbox {
  const { outbox } = knownOptions('memoryInbox', options, { outbox: true })
  if (!outbox?.[internals]) throw invalidOption('memoryInbox', 'outbox', 'must be what memoryOutbox() returns')
  const { state, transactions } = outbox[internals]
  return {
    async once(tx, consumer, messageId, handler) {
      checkDelivery(consumer, messageId, handler)
      const transaction = transactions.of(tx)
      const key = markKey({ consumer, messageId })
      const turn = transactions.locks.take(transaction, `mark ${key}`)
      if (turn) {
        await turn
        transactions.of(tx) // it may have ended while it waited
      }
      if (state.marks.has(key) || transaction.marks.some((mark) => markKey(mark) === key)) return false
      const mark = { consumer, messageId, handledAt: state.clock.monotonic() }
      transaction.marks.push(mark)
      checkHandled(await handler())
      if (!transactions.isOpen(tx) || !transaction.marks.includes(mark)) throw endedUnderHandler()
      return true
    },
    async check(options) {
      options?.signal?.throwIfAborted()
    },
    async purge(request) {
      request?.signal?.throwIfAborted()
      return purgeMarks(state, checkedPurge(request))
    },
  }
}
