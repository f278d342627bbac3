import { event } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import { pgInbox, pgOutbox } from '@outbox/drizzle/pg'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { readGroup } from './consumer-group.ts'
import { openServers } from './servers.ts'
import { PowerCut, type Sold, Warehouse } from './warehouse.ts'

await using servers = await openServers()
const { shopDb, warehouseDb, redis, consumerRedis, stream } = servers

const outbox = pgOutbox({ db: shopDb })
for (const pieces of [1, 2, 3]) {
  const sold = event('article.sold', { aggregateId: 'lamp', payload: { pieces } satisfies Sold })
  await shopDb.transaction((tx) => outbox.enqueue(tx, sold))
}
await createRelay({ store: outbox, publisher: redisPublisher({ client: redis, stream }) }).tick()
console.log('sold, and published: 1, 2 and 3 lamps')

const inbox = pgInbox({ db: warehouseDb })
await inbox.check()
const warehouse = new Warehouse(warehouseDb, inbox)
await warehouse.fill('lamp', 10)
const report = async (what: string): Promise<void> => console.log(`${what}; left: ${await warehouse.left('lamp')}`)
await report('the warehouse has 10')

console.log('\nit dies after the effect, before it acknowledges')
for await (const message of readGroup(consumerRedis, stream, 'one')) {
  await report(`  #${message.sequence} ${told(await warehouse.handle(message))}`)
  break
}

console.log('it is back, and fails in the middle of the next')
for await (const message of readGroup(consumerRedis, stream, 'one')) {
  warehouse.hasPower = message.sequence !== 2
  const outcome = await warehouse.handle(message).then(told, (error: unknown) => {
    if (error instanceof PowerCut) return 'rolled back, the mark with the effect'
    throw error
  })
  await report(`  #${message.sequence} ${outcome}`)
  if (!warehouse.hasPower) break
}

console.log('it is back; the last message is delivered twice at once')
warehouse.hasPower = true
let last: ReceivedEntry<Sold> | undefined
for await (const message of readGroup(consumerRedis, stream, 'one')) {
  last = message
  if (message.sequence === 3) break
  await report(`  #${message.sequence} ${told(await warehouse.handle(message))}`)
}
if (!last) throw new Error('there was no message')
const both = await Promise.all([warehouse.handle(last), warehouse.handle(last)])
await report(`  #${last.sequence} ${both.map(told).toSorted().join(' · ')}`)

function told(isFirst: boolean): string {
  return isFirst ? 'taken off the stock' : 'was handled before'
}
