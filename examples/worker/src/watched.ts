import type { Relay } from '@outbox/relay'
import type { HealthCheck } from '@outbox/relay/health'

// #region watched
/**
 * Runs a relay and watches it, until `stop` aborts or the relay ends; rejects if the relay cannot start.
 *
 * The watch ends with the relay. A watch that fails, for want of a privilege for instance, is told by `complain`, and
 * the relay goes on: it is well.
 */
export async function runWatched(
  relay: Relay,
  health: HealthCheck,
  { stop, complain }: { readonly stop: AbortController; readonly complain: (error: unknown) => void },
): Promise<void> {
  const watching = health.watch({ everyMs: 10_000, signal: stop.signal }).catch(complain)
  try {
    await relay.run({ signal: stop.signal })
  } finally {
    stop.abort()
    await watching
  }
}
// #endregion
