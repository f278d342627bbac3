const pauseMs = 5
/** A transaction that stays open longer has its entries found by polling. */
const maxPauses = 200

/** Tells subscribers within this process that entries may have been committed. */
export interface Waker {
  subscribe(wake: () => void): AsyncDisposable
  /** Wakes everybody once a transaction is over: at once if the driver's callback is about to return. */
  wakeAfter(transaction: object, isOpen: () => boolean): void
  wakeSoon(): void
}

export function createWaker(): Waker {
  const subscribers = new Set<{ readonly wake: () => void }>()
  /** transactions whose end is waited for */
  const open = new Map<object, { readonly isOpen: () => boolean; pausesLeft: number }>()
  let isScheduled = false

  function look(): void {
    isScheduled = false
    let isAnyOver = false
    for (const [transaction, waiting] of open) {
      waiting.pausesLeft -= 1
      if (waiting.isOpen() && waiting.pausesLeft >= 0) continue
      open.delete(transaction)
      isAnyOver = true
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

  function wakeAfter(transaction: object, isOpen: () => boolean): void {
    if (subscribers.size === 0) return
    open.set(transaction, { isOpen, pausesLeft: maxPauses })
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
    wakeSoon: () => wakeAfter({}, () => false),
  }
}
