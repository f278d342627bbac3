import { fillOutbox } from '../../backlog.ts'
import type { Contestant } from '../../contestant.ts'
import { isAbout, startRelay } from '../../relays.ts'
import { postgresStore } from '../../stores/postgres.ts'

const slowestMs = 120_000

/** A process that loads the relay with its store, and publishes what is there. */
export const contestant: Contestant = {
  title: '@outbox',
  role: 'ours',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
  tuning: 'defaults; its code and drizzle-orm bundled, pg as it is installed',
  prepare: fillOutbox,
  async open({ url, backlog = 0 }) {
    const { left: pending, close } = await postgresStore().open(url)
    let relay: ReturnType<typeof startRelay> | undefined
    return {
      async run() {
        const before = performance.now()
        relay = startRelay({ url })
        await relay.next(isAbout('loaded'), slowestMs)
        const loadedMs = performance.now() - before
        await relay.next(isAbout('partitions'), slowestMs)
        const leasedMs = performance.now() - before
        await relay.next(isAbout('published'), slowestMs)
        const publishedMs = performance.now() - before
        return { 'modules loaded ms': loadedMs, 'leases taken ms': leasedMs, 'first batch published ms': publishedMs }
      },
      // 0 when it has published some of them
      left: async () => ((await pending()) < backlog ? 0 : backlog),
      async [Symbol.asyncDispose]() {
        await relay?.kill()
        await close()
      },
    }
  },
}
