import { event, type Publisher } from '@outbox/core'
import { natsPublisher } from '@outbox/nats'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import type { Contestant, Setting } from '../contestant.ts'
import { aggregateOf, batches, nullPublisher, payloadOf } from '../rows.ts'
import type { StoreModule } from '../stores/store.ts'
import { openJetStream } from './publish/jetstream-stream.ts'
import { openRedis } from './publish/redis-stream.ts'

type Destination = 'nowhere' | 'redis' | 'nats'

/** This project as it comes: a store's backlog, a relay with its defaults, a publisher with its own. */
export function relayContestant(store: StoreModule, destination: Destination, title: string): Contestant {
  return {
    title,
    role: 'ours',
    guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
    tuning: 'defaults: 4 lanes, batches of up to 500, at most 100 of one aggregate',
    async prepare(setting) {
      await store.create(setting.url)
      const { commit, close } = await store.open(setting.url)
      for (const batch of batches(setting.rows, 1000)) {
        await commit(
          batch.map((n) =>
            event('order.placed', { aggregateId: aggregateOf(n, setting), payload: payloadOf(n, setting) }),
          ),
        )
      }
      await close()
    },
    async open(setting) {
      const { outbox, left, close } = await store.open(setting.url)
      const broker = await openDestination(destination, setting)
      let published = 0
      const all = Promise.withResolvers<void>()
      const relay = createRelay({
        store: outbox,
        publisher: broker.publisher,
        on: {
          published: ({ entries }) => {
            published += entries.length
            if (published >= setting.rows) all.resolve()
          },
          error: ({ error }) => all.reject(error),
        },
      })
      return {
        async run() {
          await relay.start()
          await all.promise
          return undefined
        },
        left: async () => (await left()) + (await broker.left()),
        async [Symbol.asyncDispose]() {
          await relay.stop()
          await broker.close()
          await close()
        },
      }
    },
  }
}

interface OpenDestination {
  readonly publisher: Publisher
  left(): Promise<number>
  close(): Promise<void>
}

async function openDestination(destination: Destination, setting: Setting): Promise<OpenDestination> {
  if (destination === 'redis') {
    const { client, stream, left } = await openRedis(setting)
    return { publisher: redisPublisher({ client, stream }), left, close: async () => client.disconnect() }
  }
  if (destination === 'nats') {
    const { connection, name, left } = await openJetStream(setting)
    const publisher = natsPublisher({ connection, subject: `${name}.{aggregateType}.{aggregateId}` })
    return {
      publisher,
      left,
      async close() {
        await publisher.close()
        await connection.close()
      },
    }
  }
  return { publisher: nullPublisher(), left: async () => 0, close: async () => undefined }
}
