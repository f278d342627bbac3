import { event } from '@outbox/core'
import { memoryOutbox } from '@outbox/memory'
import { createRelay } from '@outbox/relay'
import { Broker } from './broker.ts'
import { readAll } from './consumer.ts'
import { httpPublisher } from './publisher.ts'

await using broker = new Broker()
await broker.start()
const outbox = memoryOutbox()
const publisher = httpPublisher({ url: broker.url })

async function placeOrder(aggregateId: string): Promise<void> {
  await outbox.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId, payload: {} })))
}

async function publishDue(): Promise<void> {
  const { published } = await createRelay({ store: outbox, publisher }).tick()
  console.log(`  published ${published}, waiting ${outbox.length}`)
}

console.log('the broker is there')
await placeOrder('order-1')
await publishDue()

console.log('the broker is away')
await broker.stop()
await placeOrder('order-2')
await publishDue()

console.log('the broker is back')
await broker.start()
await publishDue()

console.log('in the stream')
for (const { aggregateId, sequence, eventType } of await readAll(broker.url)) {
  console.log(`  ${aggregateId} #${sequence} ${eventType}`)
}
