import { PGlite } from '@electric-sql/pglite'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { recordingPublisher } from '@outbox/memory'
import { createRelay } from '@outbox/relay'
import { drizzle } from 'drizzle-orm/pglite'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Orders } from '../src/orders.ts'
import { createTables, debts, orders, pgOrderTables } from '../src/pg-order-tables.ts'

// PostgreSQL inside this process: it takes seconds to start, so the tests share one and empty it.
let client: PGlite
beforeAll(async () => {
  client = await PGlite.create()
  const db = drizzle({ client })
  await setup(db)
  await createTables(db)
})
beforeEach(() => client.exec('truncate orders, debts, outbox_entries, outbox_sequences, outbox_aggregates'))
afterAll(() => client.close())

/** The service on its real tables, the real outbox and relay, and a broker that keeps what it is given. */
function openShop() {
  const db = drizzle({ client })
  const outbox = pgOutbox({ db })
  const broker = recordingPublisher()
  return { db, outbox, broker, orders: new Orders(pgOrderTables(db), outbox) }
}

describe('orders, on PostgreSQL in the test process', () => {
  it('an order that is placed reaches the broker, after its transaction', async () => {
    const shop = openShop()
    await shop.orders.place({ id: 'order-1', customer: 'Ada', cents: 4200 })
    expect(shop.broker.published).toEqual([])

    await using relay = createRelay({ store: shop.outbox, publisher: shop.broker })
    await relay.tick()
    expect(shop.broker.published).toHaveLength(1)
    expect(shop.broker.published[0]).toMatchObject({
      eventType: 'order.placed',
      aggregateId: 'order-1',
      sequence: 1,
      payload: '{"customer":"Ada","cents":4200}',
    })
  })

  it('a transaction that fails leaves nothing: no debt, no event, nothing at the broker', async () => {
    const shop = openShop()
    await shop.db.insert(orders).values({ id: 'order-2', customer: 'Bob', cents: 100 })
    const placing = shop.orders.place({ id: 'order-2', customer: 'Ada', cents: 4200 })
    await expect(placing).rejects.toMatchObject({ cause: { code: '23505' } }) // the event was written before that

    expect(await shop.db.$count(debts)).toBe(0)
    expect(await shop.outbox.stats()).toMatchObject({ pending: 0, dead: 0 })
    await using relay = createRelay({ store: shop.outbox, publisher: shop.broker })
    expect(await relay.tick()).toMatchObject({ published: 0, isIdle: true })
    expect(shop.broker.published).toEqual([])
  })

  it('an event that the broker refuses for ever is a dead letter, and the order stands', async () => {
    const shop = openShop()
    await shop.orders.place({ id: 'order-3', customer: 'Ada', cents: 4200 })
    const publisher = recordingPublisher(() => ({ status: 'reject', error: new Error('no such subject') }))
    await using relay = createRelay({ store: shop.outbox, publisher })
    expect(await relay.tick()).toMatchObject({ published: 0, dead: 1 })

    const [letter] = await shop.outbox.deadLetters.list({ limit: 10 })
    expect(letter?.entry.aggregateId).toBe('order-3')
    expect(letter?.reason).toContain('no such subject')
    expect(await shop.db.$count(orders)).toBe(1)
  })
})
