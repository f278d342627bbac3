import { setImmediate } from 'node:timers/promises'
import { type Awaitable, OutboxError } from '@outbox/core'
import { expect } from 'vitest'
import { deferred } from './deferred.ts'
import { inTurn } from './in-turn.ts'
import type { OpenedTransactions, TransactionCapabilities } from './transactions.ts'

/** A transaction that stays open while the check does other things. */
export interface HeldTransaction {
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** The harness' transactions as checks use them: `Checked` is what a check does with one. */
export interface CheckedTransactions<Checked> {
  transaction<T>(work: (tx: Checked) => Awaitable<T>): Promise<T>
  /**
   * A transaction as an application runs it: where the database tells conflicts at once, it is run again from its
   * beginning until it is not told `busy`.
   */
  application<T>(work: (tx: Checked) => Awaitable<T>): Promise<T>
  /** Runs `work` in a transaction and rolls it back. */
  rollBack(work: (tx: Checked) => Awaitable<unknown>): Promise<void>
  /** Only where transactions can be open at once. */
  begin(): Promise<HeldTransaction & { readonly tx: Checked }>
  /** Runs `work` in a transaction whose process dies before the commit. */
  crash(work: (tx: Checked) => Awaitable<unknown>): Promise<void>
  /** Rolls back what the check has left open. */
  end(): Promise<void>
}

export function checkedTransactions<Tx, Checked>(
  opened: OpenedTransactions<Tx>,
  capabilities: TransactionCapabilities,
  checked: (tx: Tx) => Checked,
): CheckedTransactions<Checked> {
  const held = new Set<HeldTransaction>()
  const transaction = <T>(work: (tx: Checked) => Awaitable<T>): Promise<T> =>
    opened.transaction((tx) => work(checked(tx)))

  return {
    transaction,
    application: (work) =>
      capabilities.waitsForWriters === true ? transaction(work) : untilNotBusy(() => transaction(work)),
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
    async crash(work) {
      if (!opened.crash) throw new Error('The harness declares the capability crashes, and gives no crash().')
      await opened.crash((tx) => work(checked(tx)))
    },
    async end() {
      // A failed check may leave transactions open, on which closing would wait for ever. What goes wrong here is not
      // told: the check's own error is the one to read.
      await Promise.allSettled([...held].map((each) => each.rollback()))
    },
  }
}

/** A savepoint of the harness. Its absence under the capability is the harness' mistake, and says so. */
export function savepointOf<Tx, T>(
  opened: OpenedTransactions<Tx>,
  tx: Tx,
  work: (inner: Tx) => Awaitable<T>,
): Awaitable<T> {
  if (!opened.savepoint) throw new Error('The harness declares the capability savepoints, and gives no savepoint().')
  return opened.savepoint(tx, work)
}

/** More often than any check makes transactions meet. */
const attempts = 1000

async function untilNotBusy<T>(attempt: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    const [outcome] = await Promise.allSettled([attempt()])
    if (outcome.status === 'fulfilled') return outcome.value
    if (!OutboxError.is(outcome.reason, 'busy') || n === attempts) throw outcome.reason
    await setImmediate() // whom it has met must be able to go on
  }
}

async function begin<Checked>(
  transaction: <T>(work: (tx: Checked) => Awaitable<T>) => Promise<T>,
  held: Set<HeldTransaction>,
): Promise<HeldTransaction & { readonly tx: Checked }> {
  const opened = deferred<Checked>()
  const ending = deferred<void>()
  const rollback = new Error('rolled back on purpose')
  const ended = transaction((tx) => {
    opened.resolve(tx)
    return ending.promise
  })
  ended.catch(opened.reject) // where no transaction could be opened; later it is told to whoever ends it
  const tx = await opened.promise
  const handle = {
    tx,
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
