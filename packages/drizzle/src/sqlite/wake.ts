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
  /** transactions whose end is waited for, and how many pauses each has left */
  const open = new Map<() => boolean, number>()
  let isScheduled = false

  function look(): void {
    isScheduled = false
    let isAnyOver = false
    for (const [isOpen, pausesLeft] of open) {
      if (isOpen() && pausesLeft > 0) open.set(isOpen, pausesLeft - 1)
      else {
        open.delete(isOpen)
        isAnyOver = true
      }
    }
    if (isAnyOver) for (const { wake } of subscribers) wake()
    if (open.size > 0) schedule(() => setTimeout(look, pauseMs))
  }

  /** Unref'd: a wake-up is a hint, and must not keep a process alive that is done. */
  function schedule(later: () => { unref(): unknown }): void {
    if (isScheduled) return
    isScheduled = true
    later().unref()
  }

  function wakeAfter(isOpen: () => boolean): void {
    if (subscribers.size === 0) return
    open.set(isOpen, maxPauses)
    schedule(() => setImmediate(look))
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
