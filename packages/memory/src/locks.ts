import { OutboxError } from '@outbox/core'

/** Exclusive locks by name, held until their owner ends: what a database does with rows. */
export interface LockTable<Owner extends object> {
  /**
   * Takes the lock now if it is free (nothing is returned), else in turn (a promise).
   *
   * @throws {OutboxError} `busy` when waiting would close a circle, a deadlock, or is not wanted
   */
  take(owner: Owner, name: string): Promise<void> | undefined
  /** Gives back everything that `owner` holds; what it still waits for is rejected with `reason`. */
  release(owner: Owner, reason: () => Error): void
}

interface Waiter<Owner> {
  readonly owner: Owner
  readonly grant: () => void
  readonly refuse: (error: Error) => void
}

/** First come, first served: the first in a queue holds the lock, the others wait, or are refused. */
export function lockTable<Owner extends object>(onConflict: 'wait' | 'busy'): LockTable<Owner> {
  const queues = new Map<string, Waiter<Owner>[]>()

  const waitsFor = (waiting: Owner, target: Owner, seen: Set<Owner>): boolean => {
    if (waiting === target) return true
    if (seen.has(waiting)) return false
    seen.add(waiting)
    for (const queue of queues.values()) {
      const place = queue.findIndex((waiter, index) => index > 0 && waiter.owner === waiting)
      if (queue.slice(0, Math.max(place, 0)).some(({ owner }) => waitsFor(owner, target, seen))) return true
    }
    return false
  }

  return {
    take(owner, name) {
      const queue = queues.get(name)
      if (!queue) {
        queues.set(name, [{ owner, grant: () => undefined, refuse: () => undefined }])
        return undefined
      }
      if (queue[0]?.owner === owner) return undefined
      if (onConflict === 'busy') throw busy('Conflict: another open transaction writes the same.')
      if (queue.some((ahead) => waitsFor(ahead.owner, owner, new Set())))
        throw busy('Deadlock: two transactions wait for each other.')
      return new Promise((grant, refuse) => queue.push({ owner, grant, refuse }))
    },
    release(owner, reason) {
      for (const [name, queue] of queues) {
        const before = queue[0]
        const left = queue.filter((waiter) => waiter.owner !== owner)
        for (const waiter of queue) if (waiter.owner === owner) waiter.refuse(reason())
        if (left.length === 0) queues.delete(name)
        else queues.set(name, left)
        if (left[0] && left[0] !== before) left[0].grant()
      }
    },
  }
}

function busy(what: string): OutboxError<'busy'> {
  return new OutboxError('busy', `${what} Nothing was written: roll back and run the whole transaction again.`, {
    system: 'memory',
  })
}
