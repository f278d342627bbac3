import { decodeRedisEntry, redisPublisher } from '@outbox/redis'
import { Redis } from 'ioredis'
import type { DemoBroker } from './broker.ts'

const pageSize = 1_000

export function redisBroker(url: string, run: string): DemoBroker {
  const client = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    socketTimeout: 10_000,
    lazyConnect: true,
  })
  client.on('error', (error) => console.error(`redis: ${error.message}`))
  const connected = client.connect()
  const stream = `outbox-demo:${run}`
  return {
    publisher: redisPublisher({ client, stream }),
    setUp: async () => void (await connected),
    async readBack() {
      const all = []
      for (let from = '-'; ; ) {
        const page = await client.xrange(stream, from, '+', 'COUNT', pageSize)
        for (const message of page) {
          const { id, aggregateId: orderId, sequence, epoch, payload } = decodeRedisEntry(message)
          all.push({ id, orderId, sequence, epoch, payload })
        }
        const last = page.at(-1)
        if (!last || page.length < pageSize) return all
        from = `(${last[0]}`
      }
    },
    cleanUp: async () => void (await client.del(stream)),
    close: async () => client.disconnect(),
  }
}
