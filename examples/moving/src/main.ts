import type { LeasedSource } from '@outbox/core'
import { redisPublisher } from '@outbox/redis'
import { createRelay, type Relay } from '@outbox/relay'
import { carryCounters } from './carry-counters.ts'
import { NewShop } from './new-shop.ts'
import { OldShop } from './old-shop.ts'
import { Stream } from './stream.ts'

await using stream = await Stream.open()
using oldShop = new OldShop()

const relayOf = (store: LeasedSource): Relay =>
  createRelay({
    store,
    publisher: redisPublisher({ client: stream.client, stream: stream.name }),
    on: { error: ({ error, during }) => console.error(during, error) },
  })

await oldShop.change('order-1', 'placed')
await oldShop.change('order-1', 'paid')
await oldShop.change('order-2', 'placed')
console.log(`the old outbox: ${await counts(oldShop.outbox)}`)

console.log('1. the new outbox is set up; no relay looks at it')
await using newShop = await NewShop.open()

console.log('2. nobody writes to the old one any more')
console.log('3. orders and counters are carried over')
await newShop.takeOver(oldShop.orders())
console.log(`   ${await carryCounters(oldShop.db, newShop.db)} aggregates go on counting`)

console.log('4. writers go on, in the new one')
await newShop.change('order-1', 'shipped')
await newShop.change('order-3', 'placed')
console.log(`   the new outbox: ${await counts(newShop.outbox)}`)

console.log('5. the old outbox is drained')
await relayOf(oldShop.outbox).tick()
console.log(`   the old outbox: ${await counts(oldShop.outbox)}`)

console.log('6. only now a relay looks at the new one')
await relayOf(newShop.outbox).tick()
console.log(`   the new outbox: ${await counts(newShop.outbox)}`)

console.log('in the stream')
// by order, for there is no order between two; what follows within one is as it arrived
const byOrder = Map.groupBy(await stream.read(), ({ aggregateId }) => aggregateId)
for (const [id, events] of [...byOrder].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  console.log(`  ${id}: ${events.map(({ sequence, eventType }) => `#${sequence} ${eventType}`).join(', ')}`)
}

async function counts(outbox: LeasedSource): Promise<string> {
  const { pending, dead } = await outbox.stats()
  return `pending ${pending}, dead ${dead}`
}
