import { event } from '@outbox/core'
import { asTransaction, type MysqlOutbox, type MysqlTransaction, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle as onMysql } from 'drizzle-orm/mysql2'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  emptied,
  type Opened,
  openMysql,
  openMysqlRc,
  ownDatabase,
  rowsOf,
  servers,
  type TestDb,
} from './mysql-databases.ts'

for (const [title, server] of servers) {
  describeWith(server, `enqueue on ${title}`, () => {
    let database: TestDatabase
    let own: Opened<TestDb>
    let outbox: MysqlOutbox
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
    beforeEach(() => emptied(own.pool))

    describe('calls that run at once in one transaction', () => {
      test.each([
        ['drizzle 0.45', openMysql],
        ['drizzle 1.0', openMysqlRc],
      ])('are numbered one after the other, savepoints and other outboxes among them: %s', async (_, open) => {
        await using other = open(database.url)
        const outboxes = [mysqlOutbox({ db: other.db }), mysqlOutbox({ db: other.db })]
        const enqueueAll = (tx: MysqlTransaction) => outboxes.map((one) => one.enqueue(tx, [placed('a'), placed('b')]))
        const receipts = await other.db.transaction((tx) =>
          tx.transaction((inner) => Promise.all([...enqueueAll(tx), ...enqueueAll(inner), ...enqueueAll(tx)])),
        )
        expect(sequencesOf(receipts.flat())).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6])
        expect(await outbox.stats()).toMatchObject({ pending: 12 })
      })

      test('are so too on handles that were named one by one', async () => {
        const connection = await createConnection(database.url)
        try {
          await connection.query('begin')
          const receipts = await Promise.all(
            Array.from({ length: 5 }, () =>
              outbox.enqueue(asTransaction(onMysql({ client: connection })), [placed('a'), placed('b')]),
            ),
          )
          await connection.query('commit')
          expect(sequencesOf(receipts.flat())).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
        } finally {
          await connection.end()
        }
      })

      test('take no number twice where one of them meets what was written since the snapshot', async () => {
        const again = placed('a')
        const receipts = await own.db.transaction(
          async (tx) => {
            await tx.execute('select count(*) from outbox_relays')
            await own.db.transaction((other) => outbox.enqueue(other, again))
            return Promise.all([outbox.enqueue(tx, [again, placed('a')]), outbox.enqueue(tx, placed('a'))])
          },
          { isolationLevel: 'repeatable read' },
        )
        expect(receipts.flat().filter(({ duplicate }) => duplicate)).toMatchObject([{ id: again.id }])
        await own.db.transaction((tx) => outbox.enqueue(tx, placed('a')))
        expect(await sequencesByPosition()).toHaveLength(4)
      })

      test('stand one behind the other in the table, as in their numbers', async () => {
        const large = Array.from({ length: 12 }, () => placed('a', 'x'.repeat(900_000)))
        await own.db.transaction((tx) =>
          Promise.all([large, placed('a'), placed('a')].map((one) => outbox.enqueue(tx, one))),
        )
        expect(await sequencesByPosition()).toEqual(Array.from({ length: 14 }, (_, index) => index + 1))
      })

      test('do not keep each other: after one that fails comes the next', async () => {
        const numbered = { type: 'ledger.booked', aggregateId: '1', payload: {}, sequence: 1 }
        await own.db.transaction(async (tx) => {
          const calls = [numbered, { ...numbered }, placed('a')].map((one) => outbox.enqueue(tx, one))
          expect(await Promise.allSettled(calls)).toMatchObject([
            { status: 'fulfilled' },
            { reason: { code: 'sequence-conflict' } },
            { status: 'fulfilled' },
          ])
        })
        expect(await outbox.stats()).toMatchObject({ pending: 2 })
      })
    })

    async function sequencesByPosition(): Promise<readonly number[]> {
      const rows = await rowsOf(own.pool, 'select sequence from outbox_entries order by position')
      return rows.map((row) => Number(row['sequence']))
    }
  })
}

function placed(aggregateId: string, text = '') {
  return event('order.placed', { aggregateId, payload: { text }, id: crypto.randomUUID() })
}

function sequencesOf(receipts: readonly { readonly sequence: number }[]): readonly number[] {
  return receipts.map(({ sequence }) => sequence).sort((a, b) => a - b)
}
