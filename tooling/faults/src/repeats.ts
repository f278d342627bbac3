import type { ReceivedEntry } from '@outbox/core/wire'
import { type Teller, toldBy } from './told.ts'

/** What relays tell when what they have published may be published again, though the broker answered. */
const unsettling = ['leasesLost', 'settleRefused', 'storeDown']

/**
 * Repeats that nothing accounts for, entry by entry: it arrived more often, drops counted, than attempts at it had gone
 * wrong. A drop counts only where there was more than one attempt: within one, a publisher may ask again, as NATS' does.
 *
 * An attempt has gone wrong when the broker did not say in time that it has the entry, or when it did and the store was
 * never known to have heard of it, by a relay that was killed, lost leases or had no database. One kill, one lost lease
 * or one outage excuses nothing but what that relay had in hand.
 *
 * @param relays - all that there have been, and what they told with `tellsEntries`
 * @param excused - what a restored database has forgotten to be published
 * @returns the entries' ids
 */
export function unexplainedRepeats(
  stream: readonly Pick<ReceivedEntry, 'id'>[],
  relays: readonly Teller[],
  excused: ReadonlySet<string> = new Set(),
): readonly string[] {
  const arrivals = new Count()
  const attempts = new Count()
  const drops = new Count()
  const wrong = new Count()
  for (const { id } of stream) arrivals.add(id)
  for (const relay of relays) {
    const tried = idsTold(relay, 'tried', 'ids')
    const stored = new Count(idsTold(relay, 'answered', 'stored'))
    const kept = new Count(idsTold(relay, 'answered', 'kept'))
    const settled = new Count(idsTold(relay, 'published', 'ids'))
    for (const id of idsTold(relay, 'answered', 'dropped')) drops.add(id)
    const wasCutOff =
      toldBy([relay], 'stopped').length === 0 || unsettling.some((kind) => toldBy([relay], kind).length > 0)
    for (const [id, times] of new Count(tried)) {
      attempts.add(id, times)
      const unanswered = times - stored.of(id) - kept.of(id)
      const unsettled = Math.max(0, stored.of(id) - settled.of(id))
      wrong.add(id, unanswered + (wasCutOff ? unsettled : 0))
    }
  }
  for (const [id, times] of drops) arrivals.add(id, Math.min(times, attempts.of(id) - 1))
  return [...arrivals].flatMap(([id, times]) => (times - 1 > wrong.of(id) && !excused.has(id) ? [id] : []))
}

function idsTold(relay: Teller, kind: string, list: string): readonly string[] {
  // as: written by `relay-process.ts`
  return toldBy([relay], kind).flatMap((message) => (message[list] ?? []) as readonly string[])
}

/** How often each id is there. */
class Count {
  readonly #times = new Map<string, number>()

  constructor(ids: readonly string[] = []) {
    for (const id of ids) this.add(id)
  }

  add(id: string, times = 1): void {
    this.#times.set(id, this.of(id) + times)
  }

  of(id: string): number {
    return this.#times.get(id) ?? 0
  }

  [Symbol.iterator](): IterableIterator<[id: string, times: number]> {
    return this.#times.entries()
  }
}
