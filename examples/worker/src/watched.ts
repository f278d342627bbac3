import type { Relay } from '@outbox/relay'
import type { HealthCheck } from '@outbox/relay/health'

// #region watched
/**
 * Runs a relay and watches it, until `stop` aborts or the relay ends; rejects if the relay cannot start.
 *
 * The watch ends with the relay, and with nothing else: a database that is away, or refuses to be asked, is looked at
 * again.
 */
export async function runWatched(
  relay: Relay,
  health: HealthCheck,
  stop: AbortController,
  everyMs = 10_000,
): Promise<void> {
  const watching = health.watch({ everyMs, signal: stop.signal })
  try {
    await relay.run({ signal: stop.signal })
  } finally {
    stop.abort()
    await watching
  }
}
// #endregion
