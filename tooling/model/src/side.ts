import type { Awaitable, Enqueueable, LeasedSource, OutboxStore, Receipt } from '@outbox/core'

export type Ending = 'commit' | 'roll back'

/** One side of the comparison: the store under test, or the model. */
export interface Side {
  readonly store: LeasedSource
  /** commits, or rolls back and leaves nothing */
  transact(events: readonly Enqueueable[], ending: Ending): Promise<readonly Receipt[]>
  /** Only where transactions can be open beside others. */
  begin(): Promise<HeldTransaction>
}

/** A transaction that stays open while other things are done. */
export interface HeldTransaction {
  enqueue(events: readonly Enqueueable[]): Promise<readonly Receipt[]>
  end(ending: Ending): Promise<void>
}

/** How a store's transactions are run, as in the store suite of `@outbox/conformance`. */
export interface Transactional<Tx> {
  readonly store: OutboxStore<Tx>
  transaction<T>(work: (tx: Tx) => Awaitable<T>): Promise<T>
}

export function sideOf<Tx>({ store, transaction }: Transactional<Tx>): Side {
  return {
    store,
    transact: (events, ending) => inTransaction(transaction, (tx) => store.enqueue(tx, [...events]), ending),
    begin: () => hold(transaction, async (tx, events) => store.enqueue(tx, [...events])),
  }
}

const rollback = new Error('rolled back on purpose')

/** Works with a synchronous driver too: there `enqueue` gives its receipts, and the callback must return no promise. */
async function inTransaction<Tx>(
  transaction: Transactional<Tx>['transaction'],
  enqueue: (tx: Tx) => readonly Receipt[] | PromiseLike<readonly Receipt[]>,
  ending: Ending,
): Promise<readonly Receipt[]> {
  let written: readonly Receipt[] = []
  const end = (receipts: readonly Receipt[]): readonly Receipt[] => {
    written = receipts
    if (ending === 'roll back') throw rollback
    return receipts
  }
  try {
    return await transaction((tx) => {
      const receipts = enqueue(tx)
      return 'then' in receipts ? receipts.then(end) : end(receipts)
    })
  } catch (error) {
    if (error !== rollback) throw error
    return written
  }
}

/** A driver may run it again when its commit met another one: then it does again what it did. */
async function hold<Tx>(
  transaction: Transactional<Tx>['transaction'],
  enqueue: (tx: Tx, events: readonly Enqueueable[]) => Promise<readonly Receipt[]>,
): Promise<HeldTransaction> {
  const opened = Promise.withResolvers<Tx>()
  const ending = Promise.withResolvers<void>()
  const enqueued: (readonly Enqueueable[])[] = []
  const ended = transaction(async (tx) => {
    for (const events of enqueued) await enqueue(tx, events)
    opened.resolve(tx)
    return ending.promise
  })
  ended.catch(opened.reject) // where none could be opened; later it is told to whoever ends it
  const tx = await opened.promise
  return {
    async enqueue(events) {
      const receipts = await enqueue(tx, events)
      enqueued.push(events)
      return receipts
    },
    async end(how) {
      if (how === 'commit') ending.resolve()
      else ending.reject(rollback)
      try {
        await ended
      } catch (error) {
        if (error !== rollback) throw error
      }
    },
  }
}
