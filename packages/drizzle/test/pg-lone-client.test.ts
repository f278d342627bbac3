import { type DueEntry, event, limits } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'

describeWith('postgres', 'a single client, which the application and a relay share', () => {
  let database: TestDatabase
  let client: Client
  beforeEach(async () => {
    database = await ownDatabase()
    client = new Client({ connectionString: database.url })
    await client.connect()
  })
  afterEach(async () => {
    await client.end()
    await database[Symbol.asyncDispose]()
  })

  test.each(['mark', 'log'] as const)(
    'engine %s: nothing is lent of a transaction that is open on it: it may still roll back',
    async (engine) => {
      const db = drizzle({ client })
      await using other = openNodePostgres(database.url)
      await setup(db, { engine })
      const outbox = pgOutbox({ db, engine })
      const fetch = await fetchingFrom(outbox)
      const order = (aggregateId: string) => event('order.placed', { aggregateId, payload: {} })

      // the first transaction of a type makes others of it wait
      await db.transaction((tx) => outbox.enqueue(tx, order('first')))
      const isOver = new Error('changed my mind')
      const transaction = db.transaction(async (tx) => {
        await outbox.enqueue(tx, order('rolled back'))
        // a younger transaction ends: its snapshots may show the older one to itself as ended
        await other.db.transaction((tx) => outbox.enqueue(tx, order('of another')))
        await expect(fetch()).rejects.toMatchObject({ code: 'busy', message: expect.stringContaining('a pool') })
        throw isOver
      })
      await expect(transaction).rejects.toBe(isOver)

      await db.transaction((tx) => outbox.enqueue(tx, order('committed')))
      expect((await fetch()).map(({ aggregateId }) => aggregateId).toSorted()).toEqual([
        'committed',
        'first',
        'of another',
      ])
    },
  )

  test.each(['mark', 'log'] as const)(
    'engine %s: a fetch within a transaction that has only read leaves the commit of that as safe as it was',
    async (engine) => {
      const db = drizzle({ client })
      await setup(db, { engine })
      const outbox = pgOutbox({ db, engine })
      const fetch = await fetchingFrom(outbox)
      await db.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId: '1', payload: {} })))
      await db.transaction(async () => {
        await client.query('select 1')
        expect(await fetch()).toHaveLength(1)
        expect((await client.query('show synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }])
      })
    },
  )
})

/** Fetches as a relay that holds all partitions. */
async function fetchingFrom(outbox: PgOutbox): Promise<() => Promise<readonly DueEntry[]>> {
  const holder = 'h'
  await outbox.join({ holder })
  const { leases: claims } = await outbox.poll({ holder })
  const leases = await outbox.acquire({ holder, claims, evict: [] })
  return () => outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: limits.payloadBytes })
}
