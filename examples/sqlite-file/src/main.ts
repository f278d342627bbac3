import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Publisher } from '@outbox/core'
import { setup, sqliteOutbox } from '@outbox/drizzle/sqlite'
import { createRelay } from '@outbox/relay'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { book } from './bookkeeping.ts'
import { filePublisher, readEvents } from './event-file.ts'
import { createTables, InvalidOrder, type OrderChange, Shop } from './shop.ts'

await using resources = new AsyncDisposableStack()
const directory = await mkdtemp(join(tmpdir(), 'outbox-example-'))
resources.defer(() => rm(directory, { recursive: true, force: true }))
const client = new Database(join(directory, 'shop.db'))
resources.defer(() => void client.close())
client.pragma('journal_mode = WAL')
client.pragma('synchronous = FULL') // with less, a power cut may take back a commit whose event was published

const db = drizzle({ client })
setup(db) // or export the outbox's tables to drizzle-kit, and migrate as you do
createTables(db)
const outbox = sqliteOutbox({ db })
const shop = new Shop(db, outbox)

shop.placeOrders([
  { id: 'order-1', cents: 4200 },
  { id: 'order-2', cents: 1999 },
])
shop.cancelOrder('order-1')
try {
  shop.placeOrders([
    { id: 'order-3', cents: 100 },
    { id: 'order-4', cents: 0 },
  ])
} catch (error) {
  if (!(error instanceof InvalidOrder)) throw error
  console.log('order-4 is invalid: order-3 is rolled back with it, and its event')
}
const { pending } = await outbox.stats()
console.log(`${pending} events are committed and wait for a relay`)

const path = join(directory, 'events.jsonl')
const allPublished = Promise.withResolvers<void>()
let published = 0
const relay = createRelay({
  store: outbox,
  publisher: losingOneAnswer(filePublisher(path)),
  on: {
    retry: ({ entry, error }) => console.log(`${entry.eventType}: ${error}; it is published again`),
    published: ({ entries }) => {
      published += entries.length
      if (published === pending) allPublished.resolve()
    },
    error: ({ error }) => allPublished.reject(error),
  },
})
await relay.start()
await allPublished.promise
await relay.stop()

console.log('\nthe file')
const lines: string[] = []
for await (const event of readEvents<OrderChange>(path)) {
  lines.push(`${event.aggregateId} #${event.sequence} ${event.eventType}: ${book(db, event)}`)
}
// sorted, for there is an order within order-1, and none between order-1 and order-2
for (const line of lines.toSorted()) console.log(`  ${line}`)

/** What happens once in a while: the event is there, but nobody says so. */
function losingOneAnswer(publisher: Publisher): Publisher {
  let isLost = false
  return {
    ...publisher,
    async publish(entries, options) {
      const outcomes = await publisher.publish(entries, options)
      return outcomes.map((outcome, index) => {
        if (isLost || entries[index]?.eventType !== 'order.cancelled') return outcome
        isLost = true
        return { status: 'unknown', error: 'the answer was lost' }
      })
    },
  }
}
