const pauseMs = 5
/** A transaction that stays open longer has its entries found by polling. */
const maxPauses = 200

/** Tells subscribers within this process that entries may have been committed. */
export interface Waker {
  subscribe(wake: () => void): AsyncDisposable
  /** Wakes everybody once the transaction is over: at once if the driver's callback is about to return. */
  wakeAfter(isOpen: () => boolean): void
  wakeSoon(): void
}

export function createWaker(): Waker {
  const subscribers = new Set<{ readonly wake: () => void }>()
  let isScheduled = false

  function wakeAll(): void {
    isScheduled = false
    for (const { wake } of subscribers) wake()
  }

  function wakeWhenOver(isOpen: () => boolean, pausesLeft: number): void {
    if (isOpen() && pausesLeft > 0) {
      setTimeout(() => wakeWhenOver(isOpen, pausesLeft - 1), pauseMs).unref()
    } else wakeAll()
  }

  function wakeAfter(isOpen: () => boolean): void {
    if (subscribers.size === 0 || isScheduled) return
    isScheduled = true
    // Unref'd: a wake-up is a hint, and must not keep a process alive that is done.
    setImmediate(() => wakeWhenOver(isOpen, maxPauses)).unref()
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
    wakeAfter,
    wakeSoon: () => wakeAfter(() => false),
  }
}
