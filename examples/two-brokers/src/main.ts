import type { ReceivedEntry } from '@outbox/core/wire'
import { pgOutbox } from '@outbox/drizzle/pg'
import { natsPublisher } from '@outbox/nats'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { readNats, readRedis } from './consumers.ts'
import { moveOrder, type OrderState } from './orders.ts'
import { orderPublisher } from './publisher.ts'
import { openServers } from './servers.ts'

await using servers = await openServers()
const { db, redis, consumerRedis, nats, stream } = servers
const outbox = pgOutbox({ db })

await using toNats = natsPublisher({ connection: nats, subject: `${stream}.{aggregateType}.{aggregateId}.{eventType}` })
const toRedis = redisPublisher({ client: redis, stream })
await using relay = createRelay({
  store: outbox,
  publisher: orderPublisher({ redis: toRedis, nats: toNats }),
  on: {
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(during, error),
  },
})
await relay.start()

const history: readonly (readonly [string, OrderState])[] = [
  ['order-1', 'placed'],
  ['order-2', 'placed'],
  ['order-1', 'invoiced'],
  ['order-1', 'commented'],
  ['order-1', 'shipped'],
]
for (const [id, state] of history) await moveOrder({ db, outbox }, id, state)

console.log('Redis has')
await print(readRedis(consumerRedis, stream), 3)
console.log('NATS has')
await print(readNats(nats, stream), 2)
console.log('dead letters')
for (const { entry, reason } of await outbox.deadLetters.list({ limit: 10 })) {
  console.log(`  ${entry.aggregateId} #${entry.sequence} ${entry.eventType}: ${reason}`)
}

/** Sorted, for there is an order within order-1, and none between order-1 and order-2. */
async function print(events: AsyncIterable<ReceivedEntry>, count: number): Promise<void> {
  const lines: string[] = []
  for await (const { aggregateId, sequence, eventType } of events) {
    if (lines.push(`  ${aggregateId} #${sequence} ${eventType}`) === count) break
  }
  for (const line of lines.toSorted()) console.log(line)
}
