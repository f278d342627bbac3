import { pgOutbox } from '@outbox/drizzle/pg'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { bill } from './billing.ts'
import { openServers } from './servers.ts'
import { type Order, Shop, SoldOut } from './shop.ts'

await using servers = await openServers()
const { db, redis, consumerRedis, stream } = servers
const outbox = pgOutbox({ db })
const shop = new Shop(db, outbox)

async function place(order: Order): Promise<void> {
  try {
    await shop.placeOrder(order)
    console.log(`${order.id} placed`)
  } catch (error) {
    if (!(error instanceof SoldOut)) throw error
    console.log(`${order.id} sold out: rolled back, and its event with it`)
  }
}

// The relay may run beside the application, as here, or in a process of its own: see the example `worker`.
await using relay = createRelay({
  store: outbox,
  publisher: redisPublisher({ client: redis, stream }),
  on: {
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(during, error),
  },
})
await relay.start()

await shop.fillStock('lamp', 2)
await place({ id: 'order-1', article: 'lamp', cents: 4200 })

console.log('\nbilling starts')
for await (const handled of bill(db, consumerRedis, stream)) {
  console.log(`  ${handled}`)
  console.log('billing dies before it acknowledges\n')
  break
}

await place({ id: 'order-2', article: 'lamp', cents: 3900 })
await place({ id: 'order-3', article: 'lamp', cents: 4500 })
await shop.payOrder('order-1')
console.log('order-1 paid')

console.log('\nbilling starts again')
const handled: string[] = []
for await (const each of bill(db, consumerRedis, stream)) {
  if (handled.push(each) === 3) break
}
// sorted, for there is an order within order-1, and none between order-1 and order-2
for (const each of handled.toSorted()) console.log(`  ${each}`)
