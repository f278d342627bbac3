import { event } from '@outbox/core'
import { mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openMysql, ownDatabase, servers } from './mysql-databases.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })

for (const [title, server] of servers) {
  describeWith(server, `waking up on ${title}`, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await ownDatabase(server)
      await using own = openMysql(database.url)
      await setup(own.db)
    })
    afterAll(() => database[Symbol.asyncDispose]())

    test('a relay of the same process hears of a commit, and not before it; with one connection as well', async () => {
      await using own = openMysql(database.url, { connectionLimit: 1 })
      const outbox = mysqlOutbox({ db: own.db })
      let wakes = 0
      await using _subscription = await outbox.subscribe(() => void wakes++)
      await own.db.transaction(async (tx) => {
        await outbox.enqueue(tx, placed)
        expect(wakes).toBe(0)
      })
      await waitFor(() => wakes > 0, { what: 'a wake-up' })
    })

    test('a transaction that is rolled back wakes nobody, a later one does', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      const seen: number[] = []
      await using _subscription = await outbox.subscribe(() => void seen.push(1))
      const undone = new Error('undone on purpose')
      const attempt = own.db.transaction(async (tx) => {
        await outbox.enqueue(tx, placed)
        throw undone
      })
      await expect(attempt).rejects.toBe(undone)
      await own.db.transaction((tx) => outbox.enqueue(tx, placed))
      await waitFor(() => seen.length > 0, { what: 'a wake-up' })
      // both were looked for by then: one wake-up for the one that was there
      expect(seen).toEqual([1])
    })

    test('who has unsubscribed hears nothing, and others still do', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      const heard: string[] = []
      const first = await outbox.subscribe(() => void heard.push('first'))
      await using _second = await outbox.subscribe(() => void heard.push('second'))
      await first[Symbol.asyncDispose]()
      await own.db.transaction((tx) => outbox.enqueue(tx, placed))
      await waitFor(() => heard.length > 0, { what: 'a wake-up' })
      expect(heard).toEqual(['second'])
    })
  })
}
