import type { Publisher } from '@outbox/core'
import type { BrokerAddress } from './brokers.ts'

export interface OpenPublisher extends AsyncDisposable {
  readonly publisher: Publisher
}

/** A publisher as the relay's process has it. It loads one client, its own: processes are started by the hundred. */
export async function openPublisher(address: BrokerAddress): Promise<OpenPublisher> {
  switch (address.kind) {
    case 'redis':
      return openRedis(address)
    case 'nats':
      return openNats(address)
    case 'file':
      return withoutClient((await import('./file-broker.ts')).filePublisher(address.url))
    case 'memory':
      return withoutClient((await import('./memory-broker.ts')).publisherTo(address.url))
  }
}

function withoutClient(publisher: Publisher): OpenPublisher {
  return { publisher, [Symbol.asyncDispose]: async () => undefined }
}

async function openRedis({ url, stream }: BrokerAddress): Promise<OpenPublisher> {
  const [{ Redis }, { redisPublisher }] = await Promise.all([import('ioredis'), import('@outbox/redis')])
  const options = {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // a connection that has gone silent is noticed soon, not when the system gives it up, and a broker that is back too
    socketTimeout: 1_500,
    retryStrategy: () => 100,
  }
  const client = new Redis(url, options)
  client.on('error', () => undefined) // the relay tells of outages; ioredis reconnects by itself
  return {
    publisher: redisPublisher({ client, stream }),
    [Symbol.asyncDispose]: async () => client.disconnect(),
  }
}

async function openNats({ url, stream }: BrokerAddress): Promise<OpenPublisher> {
  const [{ connect }, { natsPublisher }] = await Promise.all([
    import('@nats-io/transport-node'),
    import('@outbox/nats'),
  ])
  const connection = await connect({
    servers: url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    waitOnFirstConnect: true,
    // a connection that has gone silent is noticed soon, and so is one that is made into silence
    pingInterval: 500,
    maxPingOut: 2,
    timeout: 1_000,
  })
  const publisher = natsPublisher({ connection, subject: `${stream}.{aggregateType}.{aggregateId}` })
  return {
    publisher,
    async [Symbol.asyncDispose]() {
      await publisher.close()
      await connection.close()
    },
  }
}
