// #region purge
import { setTimeout } from 'node:timers/promises'
import type { InboxStore, LeasedSource } from '@outbox/core'

export const day: number = 24 * 60 * 60 * 1_000
const limit = 1_000

type Purged = Pick<LeasedSource | InboxStore<never>, 'purge'>

/**
 * Purges once a minute what is older than `olderThanMs`, until `signal` aborts. An outage is told, and outlived.
 *
 * Call it once for an outbox, and once for an inbox: neither waits for the other. What an inbox has forgotten takes
 * effect again, so keep that for longer than any message can come again.
 */
export async function purgeUntil(signal: AbortSignal, store: Purged, olderThanMs: number): Promise<void> {
  while (!signal.aborted) {
    try {
      while ((await store.purge({ olderThanMs, limit, signal })) >= limit);
    } catch (error) {
      if (!signal.aborted) console.error('purge:', error)
    }
    await setTimeout(60_000, undefined, { signal }).catch(() => {})
  }
}
// #endregion
