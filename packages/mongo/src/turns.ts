/** Of all outboxes and inboxes in this process. */
const latest = new WeakMap<object, Promise<unknown>>()

/** Begins `work` when all that was given before it for `place` has ended, in one way or the other. */
export function inTurn<T>(place: object, work: () => Promise<T>): Promise<T> {
  const before = latest.get(place)
  const mine = before ? before.then(work, work) : work()
  latest.set(place, mine)
  return mine
}
