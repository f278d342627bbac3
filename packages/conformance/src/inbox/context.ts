import type { Awaitable, InboxStore } from '@outbox/core'
import type { Check, Topic } from '../check.ts'
import {
  type CheckedTransactions,
  checkedTransactions,
  type HeldTransaction,
  savepointOf,
} from '../checked-transactions.ts'
import { inTurn } from '../in-turn.ts'
import type { TransactionNeeds } from '../transactions.ts'
import type { InboxHarness, InboxProcess } from './harness.ts'

export type InboxCheck = Check<InboxContext, TransactionNeeds>
export type InboxTopic = Topic<InboxContext, TransactionNeeds>

/** What it gives is not used. Returns no promise with a synchronous driver. */
export type Handler = () => Awaitable<unknown>

/** A transaction as a check sees it, whatever the handle is. Both calls are synchronous where the driver is. */
export interface InboxTransaction {
  /** `Inbox.once` on this transaction; by default the handler does nothing. */
  once(consumer: string, messageId: string, handler?: Handler): Awaitable<boolean>
  /** The same as a caller without types could call it. */
  onceWith(consumer: unknown, messageId: unknown, handler: unknown): Awaitable<boolean>
  savepoint<T>(work: (tx: InboxTransaction) => Awaitable<T>): Awaitable<T>
}

export interface HeldInboxTransaction extends HeldTransaction {
  once(consumer: string, messageId: string, handler?: Handler): Promise<boolean>
}

/** One process of a consumer. */
export interface CheckedConsumer {
  readonly inbox: Pick<InboxStore<never>, 'check' | 'purge'>
  transaction<T>(work: (tx: InboxTransaction) => Awaitable<T>): Promise<T>
  /** Runs `work` in a transaction and rolls it back. */
  rollBack(work: (tx: InboxTransaction) => Awaitable<unknown>): Promise<void>
  /**
   * One transaction around one `once`, as a consumer runs it: where conflicts are told at once, again until it is not
   * told `busy`.
   */
  deliver(consumer: string, messageId: string, handler?: Handler): Promise<boolean>
  /** Whether a delivery would not run the handler; marks nothing. */
  isHandled(consumer: string, messageId: string): Promise<boolean>
  /** Only where transactions can be open at once. */
  begin(): Promise<HeldInboxTransaction>
  /** Runs `work` in a transaction whose process dies before the commit. */
  crash(work: (tx: InboxTransaction) => Awaitable<unknown>): Promise<void>
}

/** One fresh inbox and what checks do with it. */
export interface InboxContext extends CheckedConsumer {
  /** `once` as a caller without types could call it, on something that is no transaction. */
  onceOn(handle: unknown, consumer: string, messageId: string, handler: () => void): Promise<boolean>
  /** The same inbox as another process sees it. */
  peer(): Promise<CheckedConsumer>
}

/** Opens what the harness has, runs one check, and closes everything, whatever happens. */
export async function withInboxContext<Tx>(
  harness: InboxHarness<Tx>,
  work: (context: InboxContext) => Promise<void>,
): Promise<void> {
  const opened = await harness.open()
  const transactions: CheckedTransactions<InboxTransaction>[] = []
  const consumer = (process: InboxProcess<Tx>): CheckedConsumer => {
    const own = checkedTransactions(process, harness.capabilities, (tx) => inboxTransaction(process, tx))
    transactions.push(own)
    return checkedConsumer(process, own)
  }
  try {
    await work({
      ...consumer(opened),
      // `as`: this stands in for a caller whom the compiler does not check
      onceOn: async (handle, name, messageId, handler) => opened.inbox.once(handle as Tx, name, messageId, handler),
      peer: async () => consumer(await opened.peer()),
    })
  } finally {
    await Promise.all(transactions.map((each) => each.end()))
    await opened.close()
  }
}

function inboxTransaction<Tx>(process: InboxProcess<Tx>, tx: Tx): InboxTransaction {
  return {
    once: (consumer, messageId, handler = () => undefined) =>
      process.inbox.once(tx, consumer, messageId, () => inTurn(handler, () => undefined)),
    // `as`: this stands in for a caller whom the compiler does not check
    onceWith: (consumer, messageId, handler) =>
      process.inbox.once(tx, consumer as string, messageId as string, handler as () => void),
    savepoint: (work) => savepointOf(process, tx, (inner) => work(inboxTransaction(process, inner))),
  }
}

function checkedConsumer<Tx>(
  { inbox }: InboxProcess<Tx>,
  { transaction, application, rollBack, begin, crash }: CheckedTransactions<InboxTransaction>,
): CheckedConsumer {
  return {
    inbox,
    transaction,
    rollBack,
    crash,
    deliver: (consumer, messageId, handler) => application((tx) => tx.once(consumer, messageId, handler)),
    async isHandled(consumer, messageId) {
      let isHandled = true
      await rollBack((tx) =>
        inTurn(() =>
          tx.once(consumer, messageId, () => {
            isHandled = false
          }),
        ),
      )
      return isHandled
    },
    async begin() {
      const { tx, commit, rollback } = await begin()
      return { once: async (consumer, messageId, handler) => tx.once(consumer, messageId, handler), commit, rollback }
    },
  }
}
