// #region purge
import { setTimeout } from 'node:timers/promises'
import type { InboxStore, LeasedSource } from '@outbox/core'

const day = 24 * 60 * 60 * 1_000
const limit = 1_000

type Purged = Pick<LeasedSource | InboxStore<never>, 'purge'>

/**
 * Purges once a minute what is older than a week, until `signal` aborts. An outage is told, and outlived.
 *
 * Call it once for an outbox, and once for an inbox: neither waits for the other.
 */
export async function purgeUntil(signal: AbortSignal, store: Purged): Promise<void> {
  while (!signal.aborted) {
    try {
      while ((await store.purge({ olderThanMs: 7 * day, limit, signal })) >= limit);
    } catch (error) {
      if (!signal.aborted) console.error('purge:', error)
    }
    await setTimeout(60_000, undefined, { signal }).catch(() => {})
  }
}
// #endregion
