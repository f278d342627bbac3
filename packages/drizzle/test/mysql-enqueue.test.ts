import { event, OutboxError } from '@outbox/core'
import { asTransaction, type MysqlOutbox, type MysqlTransaction, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import { type SQL, sql } from 'drizzle-orm'
import { MySqlDialect } from 'drizzle-orm/mysql-core'
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

const dialect = new MySqlDialect()

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

    describe('a batch of more than one statement takes', () => {
      /** 4.5 MB, of which the last entry is the shortest */
      const large = (last: Numbered) => [
        ...Array.from({ length: 100 }, (_, n) => numbered(n + 1, `${n} ${'x'.repeat(45_000)}`)),
        last,
      ]

      test('is there whole or not at all, whenever the transaction ends under an enqueue that nobody awaits', async () => {
        const outcomes = new Set<string>()
        for (let statements = 0; statements < 12; statements++) {
          await emptied(own.pool)
          const outcome = await committedUnder(large(numbered(101)), statements)
          outcomes.add(outcome)
          const { pending } = await outbox.stats()
          expect(pending, `${statements} statements`).toBe(outcome === 'written' ? 101 : 0)
        }
        expect([...outcomes].sort()).toEqual(['not-a-transaction', 'written'])
      })

      test('leaves nothing if its end cannot be written, even if the transaction is committed at once', async () => {
        await own.db.transaction((tx) => outbox.enqueue(tx, numbered(101)))
        const outcomes = new Set<string>()
        for (let statements = 0; statements < 12; statements++) {
          outcomes.add(await committedUnder(large(numbered(101)), statements))
          expect(await outbox.stats(), `${statements} statements`).toMatchObject({ pending: 1 })
        }
        expect([...outcomes].sort()).toEqual(['not-a-transaction', 'sequence-conflict'])
      })

      test('comes out as it went in, and leaves nothing in the session', async () => {
        const odd = { ...numbered(101, `é 𝄞 \u0000 ' \\ "`), headers: { tenant: `'é\\ ${'y'.repeat(99)}` } }
        const variables = await own.db.transaction(async (tx) => {
          await outbox.enqueue(tx, large(odd))
          return tx.execute(sql`select @outbox_1 as text, @outbox_counter as count`)
        })
        expect(variables[0]).toEqual([{ text: null, count: null }])
        const written = await outbox.fetchUnpublished(1_000)
        expect(
          written.toSorted((a, b) => a.sequence - b.sequence).map(({ payload, headers }) => ({ payload, headers })),
        ).toEqual(large(odd).map(({ payload, headers = {} }) => ({ payload: JSON.stringify(payload), headers })))
      })

      test.each([0, 1])('is not written without its text number %i, whatever the sql_mode', async (nth) => {
        await using loose = openMysql(database.url, { connectionLimit: 1 })
        await loose.pool.query(`set sql_mode = ''`)
        let texts = 0
        await loose.db.transaction(async (tx) => {
          const execute = (query: SQL) => {
            const isLost = /^set @outbox_[0-9]+ = (?!null)/.test(dialect.sqlToQuery(query).sql) && texts++ === nth
            return tx.execute(isLost ? 'kill query connection_id()' : query)
          }
          await expect(outbox.enqueue(asTransaction({ execute }), large(numbered(101)))).rejects.toMatchObject({
            code: 'busy',
          })
        })
        expect(await outbox.stats()).toMatchObject({ pending: 0 })
      })

      test.each([0, 1])(
        'leaves nothing when its connection dies at its text number %i, and holds up no other',
        async (nth) => {
          let texts = 0
          const dying = own.db.transaction((tx) => {
            const execute = (query: SQL) => {
              const isLast = /^set @outbox_[0-9]+ = (?!null)/.test(dialect.sqlToQuery(query).sql) && texts++ === nth
              return tx.execute(isLast ? 'kill connection_id()' : query)
            }
            return outbox.enqueue(asTransaction({ execute }), large(numbered(101)))
          })
          await expect(dying).rejects.toThrow()
          await own.db.transaction((tx) => outbox.enqueue(tx, numbered(1)))
          expect(await outbox.stats()).toMatchObject({ pending: 1 })
        },
      )

      /** Commits once so many statements of the call have been answered. @returns what the call says */
      async function committedUnder(batch: readonly Numbered[], statements: number): Promise<string> {
        let forgotten: Promise<string> = Promise.resolve('')
        await own.db.transaction(async (tx) => {
          forgotten = outbox.enqueue(tx, batch).then(
            () => 'written',
            (error: unknown) => (OutboxError.is(error) ? error.code : String(error)),
          )
          for (let n = 0; n < statements; n++) await tx.execute('select 1')
        })
        return forgotten
      }
    })

    test('a duplicate fixes no numbering, and fails for none', async () => {
      const known = numbered(1)
      const [{ id } = expect.fail('there is no receipt')] = await own.db.transaction((tx) => outbox.enqueue(tx, known))
      const { sequence: _, ...unnumbered } = known
      const again = [
        { ...unnumbered, id },
        { ...placed('a'), type: 'other.done', aggregateType: 'other', id },
      ]
      for (const duplicate of again) {
        const receipts = await own.db.transaction((tx) => outbox.enqueue(tx, [duplicate, placed('a')]))
        expect(receipts).toMatchObject([{ id, sequence: 1, duplicate: true }, { duplicate: false }])
      }
      // the type has no numbering yet: its first event may bring one
      await own.db.transaction((tx) => outbox.enqueue(tx, { ...numbered(7), aggregateType: 'other' }))
      expect(await outbox.stats()).toMatchObject({ pending: 4 })
    })

    test('a user whom the server lets lock nothing is told what was read', async () => {
      const again = placed('a')
      await own.db.transaction((tx) => outbox.enqueue(tx, again))
      const receipts = await own.db.transaction((tx) => {
        const execute = async (query: SQL) => {
          const isLocking = dialect.sqlToQuery(query).sql.includes('lock in share mode')
          // as MySQL before 8.0.22 says it to who may only read and insert
          if (isLocking)
            throw Object.assign(new Error('SELECT command denied to user'), { errno: 1142, sqlState: '42000' })
          return tx.execute(query)
        }
        return outbox.enqueue(asTransaction({ execute }), [again, placed('b')])
      })
      expect(receipts).toMatchObject([{ duplicate: true }, { duplicate: false }])
      expect(await outbox.stats()).toMatchObject({ pending: 2 })
    })

    test('a transaction whose snapshot is older than a migration of the tables is told to run again', async () => {
      const attempt = own.db.transaction(
        async (tx) => {
          await tx.execute('select count(*) from outbox_relays')
          await own.pool.query('alter table outbox_entries force')
          await outbox.enqueue(tx, placed('a'))
        },
        { isolationLevel: 'repeatable read' },
      )
      await expect(attempt).rejects.toMatchObject({ code: 'busy', isRetryable: true })
    })

    test('an entry that was met and is gone before it was looked at is not taken for written', async () => {
      const again = placed('a')
      const connection = await createConnection(database.url)
      try {
        const db = onMysql({ client: connection })
        await connection.query('set session transaction isolation level repeatable read')
        await connection.query('begin')
        await connection.query('select count(*) from outbox_relays')
        await own.db.transaction((tx) => outbox.enqueue(tx, again))
        let isMet = false
        const execute = async (query: SQL) => {
          const { sql: text } = dialect.sqlToQuery(query)
          if (isMet && /^\W*select/.test(text)) {
            // the transaction ends under an enqueue that nobody awaits, and with it what was locked
            await connection.query('commit')
            await own.pool.query('delete from outbox_entries')
          }
          isMet ||= text.startsWith('insert into `outbox_entries`')
          return db.execute(query)
        }
        await expect(outbox.enqueue(asTransaction({ execute }), again)).rejects.toMatchObject({
          code: 'not-a-transaction',
        })
        expect(await outbox.stats()).toMatchObject({ pending: 0 })
      } finally {
        await connection.end()
      }
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

interface Numbered {
  readonly type: string
  readonly aggregateId: string
  readonly payload: { readonly text: string }
  readonly sequence: number
  readonly headers?: Readonly<Record<string, string>>
}

function numbered(sequence: number, text = ''): Numbered {
  return { type: 'ledger.booked', aggregateId: '1', payload: { text }, sequence }
}

function sequencesOf(receipts: readonly { readonly sequence: number }[]): readonly number[] {
  return receipts.map(({ sequence }) => sequence).sort((a, b) => a - b)
}
