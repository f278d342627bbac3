import type { Awaitable, Enqueueable, LeasedSource, OneOrMany, Receipt } from '@outbox/core'
import { expect } from 'vitest'
import { deferred } from '../deferred.ts'
import { inTurn } from '../in-turn.ts'
import type { OpenedStore } from './harness.ts'

/** A transaction as a check sees it, whatever the handle is. Both calls are synchronous where the driver is. */
export interface CheckedTransaction {
  enqueue(events: OneOrMany<Enqueueable>): Awaitable<readonly Receipt[]>
  savepoint<T>(work: (tx: CheckedTransaction) => Awaitable<T>): Awaitable<T>
}

/** A transaction that stays open while the check does other things. */
export interface HeldTransaction {
  enqueue(events: OneOrMany<Enqueueable>): Promise<readonly Receipt[]>
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** One fresh outbox and what checks do with it. */
export interface StoreContext {
  readonly store: LeasedSource
  transaction<T>(work: (tx: CheckedTransaction) => Awaitable<T>): Promise<T>
  /** One transaction around one `enqueue`. */
  commit(events: OneOrMany<Enqueueable>): Promise<readonly Receipt[]>
  /** Runs `work` in a transaction and rolls it back. */
  rollBack(work: (tx: CheckedTransaction) => Awaitable<unknown>): Promise<void>
  /** Only where transactions can be open at once. */
  begin(): Promise<HeldTransaction>
  /** `enqueue` as a caller without types could call it. */
  enqueueWith(handle: unknown, events: OneOrMany<Enqueueable>): Promise<readonly Receipt[]>
  /** The same outbox as another process sees it. */
  peer(): Promise<LeasedSource>
}

/** Opens what the harness has, runs one check, and closes everything, whatever happens. */
export async function withStoreContext<Tx>(
  open: () => Promise<OpenedStore<Tx>>,
  work: (context: StoreContext) => Promise<void>,
): Promise<void> {
  const opened = await open()
  const held = new Set<HeldTransaction>()
  try {
    await work(storeContext(opened, held))
  } finally {
    // A failed check may leave transactions open, on which closing would wait for ever. What goes wrong here is not
    // told: the check's own error is the one to read.
    await Promise.allSettled([...held].map((transaction) => transaction.rollback()))
    await opened.close()
  }
}

function storeContext<Tx>(opened: OpenedStore<Tx>, held: Set<HeldTransaction>): StoreContext {
  const { store } = opened
  const checked = (tx: Tx): CheckedTransaction => ({
    enqueue: (events) => store.enqueue(tx, events),
    savepoint: (work) => opened.savepoint(tx, (inner) => work(checked(inner))),
  })
  const transaction = <T>(work: (tx: CheckedTransaction) => Awaitable<T>): Promise<T> =>
    opened.transaction((tx) => work(checked(tx)))

  return {
    store,
    transaction,
    commit: (events) => transaction((tx) => tx.enqueue(events)),
    async rollBack(work) {
      const rollback = new Error('rolled back on purpose')
      const rolledBack = transaction((tx) =>
        inTurn(
          () => work(tx),
          () => {
            throw rollback
          },
        ),
      )
      await expect(rolledBack, 'a transaction rejects with what its callback threw').rejects.toBe(rollback)
    },
    begin: () => begin(transaction, held),
    // `as`: this stands in for a caller whom the compiler does not check
    enqueueWith: async (handle, events) => store.enqueue(handle as Tx, events),
    peer: () => opened.peer(),
  }
}

async function begin(transaction: StoreContext['transaction'], held: Set<HeldTransaction>): Promise<HeldTransaction> {
  const opened = deferred<CheckedTransaction>()
  const ending = deferred<void>()
  const rollback = new Error('rolled back on purpose')
  const ended = transaction((tx) => {
    opened.resolve(tx)
    return ending.promise
  })
  ended.catch(opened.reject) // where no transaction could be opened; later it is told to whoever ends it
  const tx = await opened.promise
  const handle: HeldTransaction = {
    enqueue: async (events) => tx.enqueue(events),
    commit: async () => {
      held.delete(handle)
      ending.resolve()
      await ended
    },
    rollback: async () => {
      held.delete(handle)
      ending.reject(rollback)
      await expect(ended).rejects.toBe(rollback)
    },
  }
  held.add(handle)
  return handle
}
