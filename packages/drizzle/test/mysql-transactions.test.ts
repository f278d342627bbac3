import { event, OutboxError } from '@outbox/core'
import { asTransaction, mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle as onBetterSqlite } from 'drizzle-orm/better-sqlite3'
import { drizzle as onMysql } from 'drizzle-orm/mysql2'
import { createConnection, createPool, type PoolOptions } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { emptied, openMysql, openMysqlRc, ownDatabase, servers, sessionsWaiting } from './mysql-databases.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })

for (const [title, server] of servers) {
  describeWith(server, `transactions on ${title}`, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await ownDatabase(server)
      await using own = openMysql(database.url)
      await setup(own.db)
    })
    afterAll(() => database[Symbol.asyncDispose]())
    beforeEach(async () => {
      await using own = openMysql(database.url)
      await emptied(own.pool)
    })

    describe.each([
      ['drizzle 0.45', (options?: PoolOptions) => openMysql(database.url, options)],
      ['drizzle 1.0', (options?: PoolOptions) => openMysqlRc(database.url, options)],
    ])('%s', (_, open) => {
      test('an enqueue that begins when its transaction has ended is refused, and nothing is written', async () => {
        await using own = open({ connectionLimit: 1 })
        const outbox = mysqlOutbox({ db: own.db })
        const ended = Promise.withResolvers<void>()
        let forgotten: Promise<unknown> = Promise.resolve()
        await own.db.transaction(async (tx) => {
          forgotten = ended.promise.then(() => outbox.enqueue(tx, { ...placed, type: 'ledger.booked', sequence: 1 }))
        })
        ended.resolve()
        const error = await failureOf(forgotten)
        expect(error).toMatchObject({ code: 'not-a-transaction', details: { reason: 'finished' } })
        expect(error.message).toContain('Is an await missing')
        // and the connection is as it was: the next transaction on it may write
        await own.db.transaction((tx) => outbox.enqueue(tx, placed))
        expect(await outbox.fetchUnpublished(10)).toMatchObject([{ eventType: placed.type, sequence: 1 }])
      })

      test('a forgotten await, whatever statement the rollback overtakes, leaves nothing', async () => {
        await using own = open()
        const outbox = mysqlOutbox({ db: own.db })
        const numbered = (sequence: number) => ({ type: 'ledger.booked', aggregateId: '1', payload: {}, sequence })
        // declared, so that it is one way through the code
        await own.db.transaction((tx) => outbox.enqueue(tx, [placed, numbered(0)]))
        const outcomes = new Set<unknown>()
        for (let turns = 0; turns < 60; turns++) {
          let forgotten: Promise<unknown> = Promise.resolve()
          const attempt = own.db.transaction(async (tx) => {
            const enqueuing = outbox.enqueue(tx, turns % 2 === 0 ? placed : numbered(turns))
            forgotten = enqueuing.then(
              () => 'written',
              (error: unknown) => (OutboxError.is(error) ? error.code : error),
            )
            // ends a little later each time
            for (let turn = 0; turn < turns / 2; turn++) await new Promise((resolve) => setImmediate(resolve))
            throw new Error('undone on purpose')
          })
          await expect(attempt).rejects.toThrow('undone on purpose')
          outcomes.add(await forgotten)
          expect(await outbox.stats()).toMatchObject({ pending: 2 })
        }
        expect(outcomes).toContain('not-a-transaction')
      })
    })

    test('a database at run time, and one named as a transaction without one, are refused with nothing written', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      // @ts-expect-error a database is no transaction
      const error = await failureOf(outbox.enqueue(own.db, placed))
      expect(error).toMatchObject({ code: 'not-a-transaction', details: { reason: 'no-transaction' } })
      expect(error.message).toContain('Pass the tx of db.transaction')
      expect(() => asTransaction(own.db)).toThrow('a database over a pool, where no transaction can be open')
      expect(await outbox.stats()).toMatchObject({ pending: 0 })
    })

    test('a handle that was opened by hand is a transaction once it is named so', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      const connection = await createConnection(database.url)
      const handle = asTransaction(onMysql({ client: connection }))
      const count = async () => (await outbox.stats()).pending
      await connection.query('begin')
      await outbox.enqueue(handle, placed)
      await connection.query('rollback')
      expect(await count()).toBe(0)
      await connection.query('begin')
      await outbox.enqueue(handle, placed)
      await connection.query('commit')
      expect(await count()).toBe(1)
      await expect(outbox.enqueue(handle, placed)).rejects.toMatchObject({ details: { reason: 'finished' } })
      await connection.query('begin')
      await outbox.enqueue(handle, placed)
      await connection.query('commit')
      expect(await count()).toBe(2)
      await connection.end()
    })

    test('a relay over the single connection of an application is refused, by its check too: it would run inside of what is open there', async () => {
      const connection = await createConnection(database.url)
      const db = onMysql({ client: connection })
      const outbox = mysqlOutbox({ db })
      const isOver = new Error('changed my mind')
      const transaction = db.transaction(async (tx) => {
        await outbox.enqueue(tx, placed)
        for (const call of [() => outbox.check(), () => outbox.join({ holder: 'h' })]) {
          expect(await failureOf(call())).toMatchObject({
            code: 'invalid-option',
            message: expect.stringContaining('createPool'),
            details: { option: 'db' },
          })
        }
        throw isOver
      })
      await expect(transaction).rejects.toBe(isOver)
      expect(await outbox.stats()).toMatchObject({ pending: 0 })
      await connection.end()
    })

    test('a read-only transaction is told so, and not that it has ended', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      const attempt = own.db.transaction((tx) => outbox.enqueue(tx, { ...placed, sequence: 1 }), {
        isolationLevel: 'read committed',
        accessMode: 'read only',
      })
      const error = await failureOf(attempt)
      expect(error).toMatchObject({ code: 'unavailable' })
      expect(error.message).toContain('read-only')
    })

    test('a handle of another dialect is refused at run time as well', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      const sqlite = onBetterSqlite(':memory:')
      // @ts-expect-error SQLite's handle has no execute
      expect(await failureOf(outbox.enqueue(sqlite, placed))).toMatchObject({ details: { reason: 'wrong-handle' } })
      // @ts-expect-error SQLite's database has no execute
      expect(() => mysqlOutbox({ db: sqlite })).toThrow('The option db is no drizzle database on MySQL or MariaDB')
      // @ts-expect-error nor can it be named one
      expect(() => asTransaction(sqlite)).toThrow('is no drizzle transaction on MySQL or MariaDB')
      sqlite.$client.close()
    })

    test('a pool and a connection of mysql2 itself are refused, with what to pass instead', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      await using pooled = await own.pool.getConnection()
      const refused = { code: 'invalid-option', details: { option: 'db' } }
      const handles = [own.pool, own.pool.pool, pooled, pooled.connection]
      for (const handle of handles) {
        // @ts-expect-error no drizzle database
        expect(() => mysqlOutbox({ db: handle })).toThrow("pass drizzle(…) of 'drizzle-orm/mysql2'")
        // @ts-expect-error no drizzle database
        expect(() => mysqlInbox({ db: handle })).toThrow("pass drizzle(…) of 'drizzle-orm/mysql2'")
        // @ts-expect-error no drizzle database
        expect(await failureOf(setup(handle))).toMatchObject(refused)
        // @ts-expect-error no drizzle database
        expect(await failureOf(setupInbox(handle))).toMatchObject(refused)
        const wrong = { code: 'not-a-transaction', details: { reason: 'wrong-handle' } }
        // @ts-expect-error no drizzle transaction
        expect(await failureOf(outbox.enqueue(handle, placed))).toMatchObject(wrong)
        // @ts-expect-error no drizzle database
        expect(() => asTransaction(handle)).toThrow(expect.objectContaining(wrong))
      }
    })

    describe.each(['read committed', 'repeatable read', 'serializable'] as const)('at %s', (isolationLevel) => {
      test('a transaction with an old snapshot numbers on, and finds what was written since', async () => {
        await using own = openMysql(database.url)
        const outbox = mysqlOutbox({ db: own.db })
        const again = { ...placed, id: crypto.randomUUID() }
        const receipts = await own.db.transaction(
          async (tx) => {
            // takes the snapshot, and at serializable no lock on what is looked for later
            await tx.execute('select count(*) from outbox_relays')
            await own.db.transaction((other) => outbox.enqueue(other, [placed, placed, again]))
            return outbox.enqueue(tx, [placed, again, placed])
          },
          { isolationLevel },
        )
        expect(receipts).toMatchObject([
          { sequence: 4, duplicate: false },
          { sequence: 3, duplicate: true },
          { sequence: 5, duplicate: false },
        ])
        // no number is given back: one was taken for what the snapshot did not show
        const next = isolationLevel === 'repeatable read' ? 7 : 6
        expect(await own.db.transaction((tx) => outbox.enqueue(tx, placed))).toMatchObject([{ sequence: next }])
      })

      test('a conflict with what was written since the snapshot is named', async () => {
        await using own = openMysql(database.url)
        const outbox = mysqlOutbox({ db: own.db })
        const numbered = { type: 'ledger.booked', aggregateId: 'é 7', payload: {}, sequence: 7 }
        const attempt = own.db.transaction(
          async (tx) => {
            await tx.execute('select count(*) from outbox_relays')
            await own.db.transaction((other) => outbox.enqueue(other, numbered))
            await outbox.enqueue(tx, [{ ...numbered, sequence: 6 }, numbered])
          },
          { isolationLevel },
        )
        expect(await failureOf(attempt)).toMatchObject({
          code: 'sequence-conflict',
          details: { aggregateType: 'ledger', aggregateId: 'é 7', sequence: 7 },
        })
        expect((await outbox.fetchUnpublished(10)).map(({ sequence }) => sequence)).toEqual([7])
      })
    })

    test('one type, first used by two transactions at once in two ways: one of them is told, and writes nothing', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      const numbered = { type: 'both.happened', aggregateId: 'numbered', payload: {}, sequence: 1 }
      const { second } = await own.db.transaction(async (first) => {
        await outbox.enqueue(first, { type: 'both.happened', aggregateId: 'unnumbered', payload: {} })
        const second = failureOf(own.db.transaction((tx) => outbox.enqueue(tx, numbered)))
        await waitFor(async () => (await sessionsWaiting(database)) === 1, {
          what: 'the second to wait for the first',
          intervalMs: 150,
        })
        return { second }
      })
      expect(await second).toMatchObject({ code: 'sequence-source-mixed' })
      expect(await outbox.fetchUnpublished(10)).toMatchObject([{ aggregateId: 'unnumbered' }])
    })

    test('ten thousand entries are one batch: all of them, or none', async () => {
      await using own = openMysql(database.url)
      const outbox = mysqlOutbox({ db: own.db })
      // some of the payloads are long enough for several statements
      const batch = Array.from({ length: 10_000 }, (_, n) => ({
        type: 'bulk.done',
        aggregateId: `${n % 70}`,
        payload: { n, text: 'x'.repeat(1000) },
      }))
      const rolledBack = new Error('rolled back on purpose')
      const attempt = own.db.transaction(async (tx) => {
        await outbox.enqueue(tx, batch)
        throw rolledBack
      })
      await expect(attempt).rejects.toBe(rolledBack)
      expect(await outbox.stats()).toMatchObject({ pending: 0 })
      const receipts = await own.db.transaction((tx) => outbox.enqueue(tx, batch))
      expect(receipts.filter(({ sequence }) => sequence === 1)).toHaveLength(70)
      expect(await outbox.stats()).toMatchObject({ pending: 10_000 })
    })

    /** What the settings of a pool, or of its sessions, change for the user’s own queries. */
    const pools: readonly (readonly [string, Parameters<typeof createPool>[0], readonly string[]])[] = [
      ['rows as arrays', { rowsAsArray: true } as object, []],
      ['rows by table', { nestTables: true } as object, []],
      ['big numbers as text', { supportBigNumbers: true, bigNumberStrings: true, decimalNumbers: true }, []],
      ['dates as text', { dateStrings: true, timezone: '+05:30' }, []],
      ['no casts', { typeCast: false }, []],
      ['named placeholders', { namedPlaceholders: true }, []],
      ['one connection', { connectionLimit: 1 }, []],
      ['a latin1 connection', { charset: 'latin1_swedish_ci' }, []],
      ['a session elsewhere', {}, [`set time_zone = '+05:30'`]],
      ['no sql_mode', {}, [`set sql_mode = ''`]],
      [
        'odd sql_modes',
        {},
        [`set sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE'`],
      ],
      ['serializable sessions', {}, ['set session transaction isolation level serializable']],
    ]

    test.each(pools)('a pool with %s changes nothing', async (_, options, statements) => {
      const pool = createPool({
        uri: database.url,
        connectionLimit: 3,
        ...(typeof options === 'object' ? options : {}),
      })
      pool.pool.on('connection', (connection) => {
        for (const statement of statements) connection.query(statement)
      })
      const db = onMysql({ client: pool })
      try {
        const outbox = mysqlOutbox({ db })
        const odd = {
          type: 'odd.one',
          aggregateType: `o'd, (d)\\ "é" 𝄞`,
          aggregateId: `a', \\'); drop table outbox_entries; -- $1 ? :name %s {"x","y"} ')=(é `,
          payload: { '\u0000': `'"\\ é 𝄞`, big: 2 ** 53 - 1 },
          headers: { tenant: `'é\\` },
          sequence: 2 ** 53 - 1,
          occurredAt: new Date('0001-01-01T00:00:00.123Z'),
        }
        await db.transaction((tx) => outbox.enqueue(tx, [odd, placed]))
        const conflict = await failureOf(db.transaction((tx) => outbox.enqueue(tx, odd)))
        const { aggregateType, aggregateId, sequence } = odd
        expect(conflict).toMatchObject({ code: 'sequence-conflict', details: { aggregateType, aggregateId, sequence } })
        const holder = `h é ${crypto.randomUUID()}`
        await outbox.join({ holder })
        const { leases: claims, isMember, relays } = await outbox.poll({ holder })
        expect({ isMember, relays }).toEqual({ isMember: true, relays: [{ holder, beat: 1 }] })
        const leases = await outbox.acquire({ holder, claims, evict: [] })
        const due = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 })
        const one = due.find((entry) => entry.eventType === 'odd.one') ?? expect.fail('it was not lent')
        const { type: eventType, ...rest } = odd
        expect(one).toMatchObject({ ...rest, eventType, payload: JSON.stringify(odd.payload) })
        const reason = `it's \\ é 𝄞`
        await outbox.settle({
          leases,
          settlements: due.map((entry) => ({ entry, outcome: 'dead', reason, blocksAggregate: true })),
        })
        const before = new Date(Date.now() - 60_000)
        const [dead] = await outbox.deadLetters.list({ limit: 9, where: { aggregateId } })
        expect(dead).toMatchObject({ reason, holder, entry: { aggregateType, sequence } })
        expect(dead?.diedAt.getTime()).toBeGreaterThan(before.getTime())
        expect(dead?.diedAt.getTime()).toBeLessThan(Date.now() + 60_000)
        const where = { diedBefore: before }
        expect(await outbox.deadLetters.list({ limit: 9, where })).toEqual([])
        expect(await outbox.deadLetters.discardAll({})).toBe(2)
        expect(await outbox.purge({ olderThanMs: 0, limit: 9 })).toBe(2)
      } finally {
        await pool.end()
      }
    })
  })
}

async function failureOf(attempt: Promise<unknown>): Promise<OutboxError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (OutboxError.is(error)) return error
  throw new Error('Expected an OutboxError', { cause: error })
}
