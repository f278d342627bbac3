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

/** An owner has one place in a queue, however many of its calls wait there: it does not wait for itself. */
interface Place<Owner> {
  readonly owner: Owner
  readonly calls: { readonly grant: () => void; readonly refuse: (error: Error) => void }[]
}

/** First come, first served: the first in a queue holds the lock, the others wait, or are refused. */
export function lockTable<Owner extends object>(onConflict: 'wait' | 'busy'): LockTable<Owner> {
  const queues = new Map<string, Place<Owner>[]>()

  const waitsFor = (waiting: Owner, target: Owner, seen: Set<Owner>): boolean => {
    if (waiting === target) return true
    if (seen.has(waiting)) return false
    seen.add(waiting)
    for (const queue of queues.values()) {
      const index = queue.findIndex(({ owner }) => owner === waiting)
      if (queue.slice(0, Math.max(index, 0)).some(({ owner }) => waitsFor(owner, target, seen))) return true
    }
    return false
  }

  return {
    take(owner, name) {
      const queue = queues.get(name)
      if (!queue) {
        queues.set(name, [{ owner, calls: [] }])
        return undefined
      }
      if (queue[0]?.owner === owner) return undefined
      let place = queue.find((each) => each.owner === owner)
      if (!place) {
        if (onConflict === 'busy') throw busy('Conflict: another open transaction writes the same.')
        if (queue.some((ahead) => waitsFor(ahead.owner, owner, new Set())))
          throw busy('Deadlock: two transactions wait for each other.')
        place = { owner, calls: [] }
        queue.push(place)
      }
      const { calls } = place
      return new Promise((grant, refuse) => calls.push({ grant, refuse }))
    },
    release(owner, reason) {
      for (const [name, queue] of queues) {
        const before = queue[0]
        const left = queue.filter((place) => place.owner !== owner)
        for (const place of queue) if (place.owner === owner) for (const { refuse } of place.calls) refuse(reason())
        if (left.length === 0) queues.delete(name)
        else queues.set(name, left)
        if (left[0] && left[0] !== before) for (const { grant } of left[0].calls) grant()
      }
    },
  }
}

function busy(what: string): OutboxError<'busy'> {
  return new OutboxError('busy', `${what} Nothing was written: roll back and run the whole transaction again.`, {
    system: 'memory',
  })
}
