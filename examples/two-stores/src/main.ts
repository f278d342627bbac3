import type { LeasedSource } from '@outbox/core'
import { redisPublisher } from '@outbox/redis'
import { createRelay, type Relay } from '@outbox/relay'
import { Stream } from './stream.ts'
import { Till } from './till.ts'
import { WebShop } from './web-shop.ts'

await using stream = await Stream.open()
await using webShop = await WebShop.open()
using till = new Till('till 7')

/** One relay per store. Each could run where its database is; the publisher is the same. */
const relayOf = (store: LeasedSource): Relay =>
  createRelay({
    store,
    publisher: redisPublisher({ client: stream.client, stream: stream.name }),
    on: {
      warning: ({ message }) => console.error(message),
      error: ({ error, during }) => console.error(during, error),
    },
  })
await using webShopRelay = relayOf(webShop.outbox)
await using tillRelay = relayOf(till.outbox)
await Promise.all([webShopRelay.start(), tillRelay.start()])

await webShop.placeOrder('order-1', 4_200)
till.sell(1_999)
till.sell(500)
await webShop.placeOrder('order-2', 8_900)
await Promise.all([webShopRelay.stop(), tillRelay.stop()])

// what was committed in the last moment waits for the next relays
for (const { outbox } of [webShop, till]) await relayOf(outbox).tick()

const events = await stream.read()
// sorted, for there is an order within an aggregate, and none between two
const lines = events.map(({ aggregateId, sequence, payload }) => `${aggregateId} #${sequence}: ${payload.cents} cents`)
for (const line of lines.toSorted()) console.log(line)
console.log(`turnover: ${events.reduce((sum, { payload }) => sum + payload.cents, 0)} cents`)
console.log(`each event once: ${new Set(events.map(({ id }) => id)).size === events.length}`)
