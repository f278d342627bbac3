import type { SqliteClient } from './handles.ts'

const pauseMs = 5
/** A transaction that stays open longer has its entries found by polling. */
const maxPauses = 200

/** Tells subscribers within this process that entries may have been committed. */
export interface Waker {
  subscribe(wake: () => void): AsyncDisposable
  /** Wakes everybody once `client` is out of its transaction: at once if the driver's callback is about to return. */
  wakeAfterCommit(client: SqliteClient): void
}

export function createWaker(): Waker {
  const subscribers = new Set<{ readonly wake: () => void }>()
  let isScheduled = false

  function wakeAll(): void {
    isScheduled = false
    for (const { wake } of subscribers) wake()
  }

  function wakeWhenIdle(client: SqliteClient, pausesLeft: number): void {
    if (client.inTransaction && pausesLeft > 0) {
      setTimeout(() => wakeWhenIdle(client, pausesLeft - 1), pauseMs).unref()
    } else wakeAll()
  }

  return {
    subscribe(wake) {
      const subscriber = { wake }
      subscribers.add(subscriber)
      return {
        async [Symbol.asyncDispose]() {
          subscribers.delete(subscriber)
        },
      }
    },
    wakeAfterCommit(client) {
      if (subscribers.size === 0 || isScheduled) return
      isScheduled = true
      // Unref'd: a wake-up is a hint, and must not keep a process alive that is done.
      setImmediate(() => wakeWhenIdle(client, maxPauses)).unref()
    },
  }
}
