import { setTimeout } from 'node:timers/promises'
import type { LeasedSource } from '@outbox/core'

const day = 24 * 60 * 60 * 1_000
const limit = 1_000

/** Purges once a minute what was published a week ago, until `signal` aborts. An outage is told, and outlived. */
export async function purgeUntil(signal: AbortSignal, outbox: Pick<LeasedSource, 'purge'>): Promise<void> {
  while (!signal.aborted) {
    try {
      while ((await outbox.purge({ olderThanMs: 7 * day, limit, signal })) >= limit);
    } catch (error) {
      if (!signal.aborted) console.error('purge:', error)
    }
    await setTimeout(60_000, undefined, { signal }).catch(() => {})
  }
}
