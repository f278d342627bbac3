import type { OpenedStore } from '@outbox/conformance'
import { type Awaitable, OutboxError, systemClock, uuidv7Generator } from '@outbox/core'
import { entriesFrom } from '@outbox/core/adapter'
import { stage } from '../src/enqueue.ts'
import { leasedSource, newSubscribers } from '../src/leased-source.ts'
import { addRow } from '../src/rows.ts'
import { emptyState } from '../src/state.ts'
import type { OpenTransaction } from '../src/transaction.ts'

/** A transaction of a driver that commits when its callback returns, and has one connection. */
export type SynchronousTransaction = OpenTransaction

/** The memory store behind a synchronous driver. */
export function openSynchronousStore(): OpenedStore<SynchronousTransaction> {
  const newId = uuidv7Generator()
  const state = emptyState({ clock: systemClock, now: Date.now, source: newId() })
  const subscribers = newSubscribers()
  const store = leasedSource(state, subscribers)
  let open: SynchronousTransaction | undefined
  const run = <T>(work: (tx: SynchronousTransaction) => Awaitable<T>, tx: SynchronousTransaction): T => {
    const kept = tx.staged.length
    try {
      const result = work(tx)
      if (isPromise(result)) throw new Error('The callback of a synchronous transaction must not return a promise')
      return result
    } catch (error) {
      tx.staged.length = kept
      throw error
    }
  }
  return {
    store: {
      ...store,
      enqueue(tx, events) {
        if (tx === undefined || tx !== open) {
          throw new OutboxError('not-a-transaction', 'This is no open transaction.', { reason: 'finished' })
        }
        return stage(state, tx, entriesFrom(events, { newId, now: Date.now }))
      },
    },
    async transaction(work) {
      const tx: SynchronousTransaction = { staged: [], marks: [] }
      open = tx
      try {
        const result = run(work, tx)
        for (const row of tx.staged) addRow(state, row)
        subscribers.wake()
        return result
      } finally {
        open = undefined
      }
    },
    savepoint: (tx, work) => run(work, tx),
    peer: async () => leasedSource(state, newSubscribers()),
    close: async () => undefined,
  }
}

function isPromise<T>(result: Awaitable<T>): result is PromiseLike<T> {
  return typeof result === 'object' && result !== null && 'then' in result
}
