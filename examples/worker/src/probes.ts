// #region probes
import { createServer, type Server } from 'node:http'
import type { Relay } from '@outbox/relay'
import { type HealthCheck, relayHealth } from '@outbox/relay/health'

/**
 * Answers `/live` and `/ready` with 200 or 503, and with what is amiss.
 *
 * `/live` asks nobody but the relay and is answered at once: a database that hangs must get no relay killed. `/ready`
 * asks `health`, which may take its `timeoutMs`.
 */
export function probesOf(relay: Relay, health: HealthCheck): Server {
  const life = relayHealth({ relay })
  const lookFor = async (path: string | undefined): Promise<{ readonly status: number; readonly body: string }> => {
    const { isLive, isReady, reasons } = await (path === '/live' ? life : health).check()
    return { status: (path === '/live' ? isLive : isReady) ? 200 : 503, body: reasons.join('\n') }
  }
  return createServer(({ url }, response) => {
    void lookFor(url).then(({ status, body }) => response.writeHead(status).end(body))
  })
}
// #endregion
