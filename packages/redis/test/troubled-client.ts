import { type OwnServer, startTcpProxy, waitFor } from '@outbox/services'
import type { Redis } from 'ioredis'
import { type clients, connect } from './support.ts'

/** A client whose connection can be taken away, and one beside it that nothing happens to. */
export interface TroubledClient {
  readonly client: ReturnType<(typeof clients)[number]['connect']>
  readonly direct: Redis
  /** Refuses connections until the function returned is called. */
  outage(): Promise<() => Promise<void>>
  /** Lets nothing through, and says nothing of it, until the function returned is called. */
  silence(): Promise<() => Promise<void>>
  /** Closes both, and leaves nothing on the server. */
  close(): Promise<void>
}

export async function troubledClient(
  server: OwnServer,
  connectTo: (typeof clients)[number]['connect'],
): Promise<TroubledClient> {
  const proxy = await startTcpProxy(server.url)
  const direct = connect(server.url)
  // what was in a black hole is not sent again: the suite asks that nothing arrives which was called not sent
  const client = connectTo(proxy.through(server.url), { autoResendUnfulfilledCommands: false })
  const isBack = async (): Promise<void> => {
    proxy.heal()
    await waitFor(() => client.status === 'ready', { what: 'the client to be back' })
  }
  return {
    client,
    direct,
    async outage() {
      proxy.refuse()
      await waitFor(() => client.status === 'reconnecting', { what: 'the client to notice' })
      return isBack
    },
    async silence() {
      proxy.blackHole()
      return async () => {
        proxy.reset()
        await waitFor(() => client.status !== 'ready', { what: 'the client to notice' })
        await isBack()
      }
    },
    async close() {
      client.disconnect()
      await direct.flushall()
      direct.disconnect()
      await proxy[Symbol.asyncDispose]()
    },
  }
}
