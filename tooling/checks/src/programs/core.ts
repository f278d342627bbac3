// What an adapter of one's own imports, with nothing else installed.
import { event, partitionOf, publisher, uuidv7Generator } from '@outbox/core'
import { aggregateKey, bulkDeadLetters, checkDelivery, entriesFrom } from '@outbox/core/adapter'
import { structuredCloudEvent } from '@outbox/core/wire'

const [entry] = entriesFrom(event('order.placed', { aggregateId: '7', payload: {} }), {
  newId: uuidv7Generator(),
  now: Date.now,
})
if (entry?.partition !== partitionOf('order', '7')) throw new Error('the entry has another partition')
if (aggregateKey(entry) !== 'order\u001f7') throw new Error('the aggregate has another key')
checkDelivery('billing', entry.id, () => undefined)
const unused: readonly unknown[] = [bulkDeadLetters, structuredCloudEvent, publisher]
console.log(`core: ${unused.length + 1} helpers`)
