import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DueEntry, event, publisher } from '@outbox/core'
import { createRelay } from '@outbox/relay'
import { Connection } from './connection.ts'
import { ownInbox } from './inbox.ts'
import { ownOutbox } from './outbox.ts'
import { setup, setupInbox } from './tables.ts'

const directory = mkdtempSync(join(tmpdir(), 'own-store-'))
using cleanUp = new DisposableStack()
cleanUp.defer(() => rmSync(directory, { recursive: true }))

// the shop, with a table of its own beside the outbox
const shop = cleanUp.use(new Connection(join(directory, 'shop.db')))
setup(shop)
shop.script('CREATE TABLE orders (id TEXT PRIMARY KEY, cents INTEGER NOT NULL)')
const outbox = ownOutbox({ connection: shop })

function placeOrder(id: string, cents: number): void {
  shop.transaction((tx) => {
    tx.sql.run`INSERT INTO orders VALUES (${id}, ${cents})`
    outbox.enqueue(tx, event('order.placed', { aggregateId: id, payload: { cents } }))
    if (cents > 10_000) throw new Error(`${id} is more than the till takes`)
  })
}

// the consumer, with a database of its own: it books each event once, however often it is delivered
const books = cleanUp.use(new Connection(join(directory, 'books.db')))
setupInbox(books)
books.script('CREATE TABLE bookings (order_id TEXT NOT NULL, payload TEXT NOT NULL)')
const inbox = ownInbox({ connection: books })

function book({ id, aggregateId, payload }: DueEntry): boolean {
  return books.transaction((tx) =>
    inbox.once(tx, 'books', id, () => {
      tx.sql.run`INSERT INTO bookings VALUES (${aggregateId}, ${payload})`
    }),
  )
}

placeOrder('order-1', 4_200)
placeOrder('order-2', 1_999)
try {
  placeOrder('order-3', 99_900)
} catch (error) {
  console.log(`rolled back: ${error instanceof Error ? error.message : error}`)
}

const delivered: DueEntry[] = []
const toBooks = publisher({ name: 'books', send: (entry) => void delivered.push(entry) })
// one lane, so that this program prints the same each time
const relay = createRelay({ store: outbox, publisher: toBooks, lanes: 1 })
const { published } = await relay.tick()
console.log(`published: ${published}`)
for (const entry of [...delivered, ...delivered]) {
  console.log(`${entry.aggregateId} #${entry.sequence}: ${book(entry) ? 'booked' : 'is booked already'}`)
}
