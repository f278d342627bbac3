import { type DueEntry, event, type Lease, type Settlement } from '@outbox/core'
import { asTransaction, type MysqlOutbox, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/mysql2'
import { type Connection, createConnection, createPool } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { emptied, type Opened, openMysql, ownDatabase, rowsOf, servers, type TestDb } from './mysql-databases.ts'

/** What a relay and an operator do, with entries that are lent: two or more of them. */
const calls: readonly (readonly [string, (store: MysqlOutbox, due: readonly DueEntry[]) => Promise<unknown>])[] = [
  ['join', (store) => store.join({ holder: 'somebody else' })],
  ['poll', (store) => store.poll({ holder: 'h' })],
  ['fetch', (store, due) => store.fetch({ leases: leasesOf(due), limit: 9, limitPerAggregate: 9, maxBytes: 1e6 })],
  ['settle as published', (store, due) => settle(store, due.map(published))],
  ['settle as waiting', (store, due) => settle(store, due.map(waiting))],
  ['settle as dead', (store, due) => settle(store, due.map(blocking))],
  ['markPublished', (store, due) => store.markPublished(due.map(({ id }) => id))],
  ['fetchUnpublished', (store) => store.fetchUnpublished(100)],
  ['stats', (store) => store.stats()],
  ['purge', (store) => store.purge({ olderThanMs: 0, limit: 100 })],
  ['list dead letters', (store) => store.deadLetters.list({ limit: 100 })],
  ['requeue', (store) => store.deadLetters.requeueAll({})],
  ['discard', (store) => store.deadLetters.discardAll({})],
  ['release', (store, due) => store.release({ holder: 'h', leases: leasesOf(due), leave: true })],
]

for (const [title, server] of servers) {
  describeWith(server, `locks on ${title}`, () => {
    let database: TestDatabase
    let own: Opened<TestDb>
    let outbox: MysqlOutbox
    let done: DueEntry
    let due: readonly DueEntry[]
    let leases: readonly Lease[]

    beforeAll(async () => {
      database = await ownDatabase(server)
      own = openMysql(database.url)
      await setup(own.db)
      outbox = mysqlOutbox({ db: own.db })
    })
    afterAll(async () => {
      await own[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    })
    /** One entry published, one dead, five pending, and all leases held. */
    beforeEach(async () => {
      await emptied(own.pool)
      await own.db.transaction((tx) =>
        outbox.enqueue(
          tx,
          [1, 2, 3, 4, 5, 6, 7].map((n) => placed(`${n}`)),
        ),
      )
      await outbox.join({ holder: 'h' })
      const { leases: claims } = await outbox.poll({ holder: 'h' })
      leases = await outbox.acquire({ holder: 'h', claims, evict: [] })
      const [first, second, ...others] = await outbox.fetch({ leases, limit: 100, limitPerAggregate: 9, maxBytes: 1e6 })
      if (!first || !second) expect.fail('nothing was lent')
      await settle(outbox, [published(first), blocking(second)])
      done = first
      due = others
      expect(due).toHaveLength(5)
    })

    describe('a transaction of a producer that stays open', () => {
      test.each(calls)('holds up no %s', async (_, call) => {
        await own.db.transaction(async (tx) => {
          // aggregates that have entries already, and new ones; entries that are there already
          const again = [...due, done].map(({ id }) => ({ ...placed('1'), id }))
          await outbox.enqueue(tx, [...due.map(({ aggregateId }) => placed(aggregateId)), placed('new'), ...again])
          await call(outbox, due)
        })
        expect((await outbox.stats()).pending).toBeGreaterThan(0)
      })
    })

    test('nor does one that was told of a number that is taken, and goes on', async () => {
      const taken = { ...placed('taken'), type: 'ledger.booked', sequence: 5 }
      await own.db.transaction((tx) => outbox.enqueue(tx, { ...taken, sequence: 4 }))
      await own.db.transaction(
        async (tx) => {
          // its snapshot shows nothing of what comes next
          await tx.execute('select count(*) from outbox_entries')
          await own.db.transaction((other) => outbox.enqueue(other, taken))
          await expect(outbox.enqueue(tx, taken)).rejects.toMatchObject({ code: 'sequence-conflict' })
          const lent = await outbox.fetch({ leases, limit: 100, limitPerAggregate: 9, maxBytes: 1e6 })
          expect(lent.map(({ eventType }) => eventType)).toContain(taken.type)
          await settle(outbox, lent.map(published))
        },
        { isolationLevel: 'repeatable read' },
      )
    })

    test('purge leaves rows that somebody has locked for the next time', async () => {
      const connection = await createConnection(database.url)
      try {
        await connection.query('begin')
        await connection.query(`select position from outbox_entries where state = 'published' for update`)
        expect(await outbox.purge({ olderThanMs: 0, limit: 100 })).toBe(0)
        await connection.query('rollback')
      } finally {
        await connection.end()
      }
      expect(await outbox.purge({ olderThanMs: 0, limit: 100 })).toBe(1)
    })

    test('purge goes on behind them', async () => {
      await own.db.transaction((tx) =>
        outbox.enqueue(
          tx,
          Array.from({ length: 1_100 }, (_, n) => placed(`more-${n}`)),
        ),
      )
      const pending = await outbox.fetchUnpublished(2_000)
      await outbox.markPublished(pending.map(({ id }) => id))
      const connection = await createConnection(database.url)
      try {
        await connection.query('begin')
        await connection.query(
          `select position from outbox_entries where state = 'published' order by position limit 1 for update`,
        )
        expect(await outbox.purge({ olderThanMs: 0, limit: 2_000 })).toBe(pending.length)
        await connection.query('rollback')
      } finally {
        await connection.end()
      }
    })

    describe('a relay’s statement that goes on and on', () => {
      test.each(calls)('holds up no enqueue: %s', async (_, call) => {
        const pool = createPool({ uri: database.url, connectionLimit: 1 })
        try {
          // all statements of the call in one transaction: what they lock stays locked
          await pool.query('begin')
          await call(mysqlOutbox({ db: drizzle({ client: pool }) }), due)
          const aggregates = [...due.map(({ aggregateId }) => placed(aggregateId)), placed('new'), placed('new too')]
          for (const one of aggregates) await own.db.transaction((tx) => outbox.enqueue(tx, one))
          await pool.query('rollback')
        } finally {
          await pool.end()
        }
      })
    })
  })
}

describeWith('mysql', 'the locks that MySQL lists', () => {
  let database: TestDatabase
  let own: Opened<TestDb>
  let connection: Connection
  beforeAll(async () => {
    database = await ownDatabase('mysql')
    own = openMysql(database.url)
    await setup(own.db)
    connection = await createConnection(database.url)
  })
  afterAll(async () => {
    await connection.end()
    await own[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  test.each(['repeatable read', 'read committed'])(
    'at %s an enqueue of what is there already locks the numbers of what is pending, and no gaps between them',
    async (level) => {
      await emptied(own.pool)
      const outbox = mysqlOutbox({ db: own.db })
      const batch = [1, 2, 3, 3].map((n) => ({ ...placed(`${n}`), id: crypto.randomUUID() }))
      const published = [4, 5].map((n) => ({ ...placed(`${n}`), id: crypto.randomUUID() }))
      await own.db.transaction((tx) => outbox.enqueue(tx, [...batch, ...published]))
      await outbox.markPublished(published.map(({ id }) => id))
      await connection.query(`set session transaction isolation level ${level}`)
      await connection.query('begin')
      await outbox.enqueue(asTransaction(drizzle({ client: connection })), [...batch, ...published])
      const locks = await rowsOf(
        own.pool,
        `select index_name as name, lock_mode as mode, count(*) as count from performance_schema.data_locks
        where object_schema = database() and lock_type = 'RECORD' group by index_name, lock_mode`,
      )
      await connection.query('rollback')
      expect(locks).toEqual([{ name: 'outbox_entries_sequence', mode: 'S,REC_NOT_GAP', count: batch.length }])
    },
  )

  test.each(['repeatable read', 'read committed'])(
    'at %s a settle locks rows, and no gaps between them',
    async (level) => {
      await emptied(own.pool)
      const outbox = mysqlOutbox({ db: own.db })
      await own.db.transaction((tx) =>
        outbox.enqueue(
          tx,
          [1, 2, 3].map((n) => placed(`${n}`)),
        ),
      )
      await outbox.join({ holder: 'h' })
      const { leases: claims } = await outbox.poll({ holder: 'h' })
      const leases = await outbox.acquire({ holder: 'h', claims, evict: [] })
      const lent = await outbox.fetch({ leases, limit: 100, limitPerAggregate: 9, maxBytes: 1e6 })
      await connection.query(`set session transaction isolation level ${level}`)
      await connection.query('begin')
      const [first, ...others] = lent
      await settle(mysqlOutbox({ db: drizzle({ client: connection }) }), [
        ...others.map(published),
        ...(first ? [waiting(first)] : []),
      ])
      const locks = await rowsOf(
        own.pool,
        `select distinct object_name as name, lock_mode as mode from performance_schema.data_locks
      where object_schema = database() and lock_type = 'RECORD' order by 1, 2`,
      )
      await connection.query('rollback')
      expect(locks.filter(({ mode }) => mode !== 'X,REC_NOT_GAP')).toEqual([])
      expect(locks.map(({ name }) => name)).toEqual(['outbox_aggregates', 'outbox_entries', 'outbox_leases'])
    },
  )
})

function placed(aggregateId: string) {
  return event('order.placed', { aggregateId, payload: {} })
}

function leasesOf(due: readonly DueEntry[]): readonly Lease[] {
  return due.map(({ lease }) => lease)
}

function settle(store: MysqlOutbox, settlements: readonly Settlement[]): Promise<unknown> {
  return store.settle({ leases: leasesOf(settlements.map(({ entry }) => entry)), settlements })
}

function published(entry: DueEntry): Settlement {
  return { entry, outcome: 'published' }
}

function waiting(entry: DueEntry): Settlement {
  return { entry, outcome: 'retry', retryInMs: 1e6, isRefusal: true, reason: 'refused' }
}

function blocking(entry: DueEntry): Settlement {
  return { entry, outcome: 'dead', reason: 'poison', blocksAggregate: true }
}
