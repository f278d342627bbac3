import { event, OutboxError } from '@outbox/core'
import { asTransaction, pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle as onBetterSqlite } from 'drizzle-orm/better-sqlite3'
import { drizzle as onNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as onPostgresJs } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openNodePostgres, openPglite, openPostgresJs, ownDatabase, sessionsWaiting } from './pg-databases.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })

describeWith('postgres', 'transactions on PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
    await using own = openNodePostgres(database.url)
    await setup(own.db)
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describe.each([
    ['node-postgres', () => openNodePostgres(database.url)],
    ['postgres-js', () => openPostgresJs(database.url)],
  ])('%s', (_, open) => {
    test('an enqueue that begins when its transaction has ended is refused, and nothing is written', async () => {
      await using own = open()
      const outbox = pgOutbox({ db: own.db, notify: 'off' })
      const before = await outbox.stats()
      let release: () => void = () => undefined
      const ended = new Promise<void>((resolve) => {
        release = resolve
      })
      let forgotten: Promise<unknown> = Promise.resolve()
      await own.db.transaction(async (tx) => {
        forgotten = ended.then(() => outbox.enqueue(tx, placed))
      })
      release()
      const error = await failureOf(forgotten)
      expect(error).toMatchObject({ code: 'not-a-transaction', details: { reason: 'finished' } })
      expect(error.message).toContain('Is an await missing')
      expect(await outbox.stats()).toMatchObject({ pending: before.pending })
    })

    test('a database at run time, and one named as a transaction without one, are refused with nothing written', async () => {
      await using own = open()
      const outbox = pgOutbox({ db: own.db, notify: 'off' })
      const before = await outbox.stats()
      // @ts-expect-error a database is no transaction
      const error = await failureOf(outbox.enqueue(own.db, placed))
      expect(error).toMatchObject({ code: 'not-a-transaction', details: { reason: 'no-transaction' } })
      expect(error.message).toContain('Pass the tx of db.transaction')
      expect(await failureOf(outbox.enqueue(asTransaction(own.db), placed))).toMatchObject({
        details: { reason: 'finished' },
      })
      expect(await outbox.stats()).toMatchObject({ pending: before.pending })
    })

    test('a transaction at repeatable read that meets another is told to run again', async () => {
      await using own = open()
      const outbox = pgOutbox({ db: own.db, notify: 'off' })
      const attempt = own.db.transaction(
        async (tx) => {
          await tx.execute('select 1') // takes the snapshot
          await own.db.transaction((other) => outbox.enqueue(other, placed))
          await outbox.enqueue(tx, placed)
        },
        { isolationLevel: 'repeatable read' },
      )
      const error = await failureOf(attempt)
      expect(error).toMatchObject({ code: 'busy', isRetryable: true })
      await own.db.transaction((tx) => outbox.enqueue(tx, placed), { isolationLevel: 'serializable' })
    })

    test('one type, first used by two transactions at once in two ways: one of them is told, and writes nothing', async () => {
      await using own = open()
      const outbox = pgOutbox({ db: own.db, notify: 'off' })
      const type = `t${crypto.randomUUID().slice(0, 8)}.happened`
      const numbered = { type, aggregateId: 'numbered', payload: {}, sequence: 1 }
      const { second } = await own.db.transaction(async (first) => {
        await outbox.enqueue(first, { type, aggregateId: 'unnumbered', payload: {} })
        const second = failureOf(own.db.transaction((tx) => outbox.enqueue(tx, numbered)))
        await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the second to wait for the first' })
        return { second }
      })
      expect(await second).toMatchObject({ code: 'sequence-source-mixed' })
      const written = (await outbox.fetchUnpublished(1000)).filter(({ eventType }) => eventType === type)
      expect(written).toMatchObject([{ aggregateId: 'unnumbered' }])
    })

    test('names with every kind of quote and bracket come back as they were, and a conflict on them is named', async () => {
      await using own = open()
      const outbox = pgOutbox({ db: own.db, notify: 'off' })
      const aggregateId = `a', \\'); drop table outbox_entries; -- $1 %s {"x","y"} )=(${crypto.randomUUID()}`
      const odd = {
        type: 'odd.one',
        aggregateId,
        aggregateType: "o'd, (d)\\",
        payload: { '\u0000': "'\\" },
        sequence: 7,
      }
      await own.db.transaction((tx) => outbox.enqueue(tx, odd))
      const found = (await outbox.fetchUnpublished(1000)).find((entry) => entry.aggregateId === aggregateId)
      expect(found).toMatchObject({ aggregateType: odd.aggregateType, payload: JSON.stringify(odd.payload) })
      const conflict = await failureOf(own.db.transaction((tx) => outbox.enqueue(tx, odd)))
      const { aggregateType } = odd
      expect(conflict).toMatchObject({
        code: 'sequence-conflict',
        details: { aggregateType, aggregateId, sequence: 7 },
      })
    })

    test('ten thousand entries are one batch: all of them, or none', async () => {
      await using own = open()
      const outbox = pgOutbox({ db: own.db, notify: 'off' })
      const type = `bulk${crypto.randomUUID().slice(0, 8)}.done`
      const batch = Array.from({ length: 10_000 }, (_, n) => ({ type, aggregateId: `${n % 70}`, payload: { n } }))
      const rolledBack = new Error('rolled back on purpose')
      const attempt = own.db.transaction(async (tx) => {
        await outbox.enqueue(tx, batch)
        throw rolledBack
      })
      await expect(attempt).rejects.toBe(rolledBack)
      const receipts = await own.db.transaction((tx) => outbox.enqueue(tx, batch))
      expect(receipts).toHaveLength(10_000)
      expect(receipts.filter(({ sequence }) => sequence === 1)).toHaveLength(70)
      const ids = receipts.map(({ id }) => id)
      await outbox.markPublished(ids)
    })
  })

  test('a handle that was opened by hand is a transaction once it is named so', async () => {
    await using own = openNodePostgres(database.url)
    const outbox = pgOutbox({ db: own.db, notify: 'off' })
    const client = await own.db.$client.connect()
    const handle = asTransaction(onNodePostgres({ client }))
    const count = async () => (await outbox.stats()).pending
    const before = await count()
    await client.query('begin')
    await outbox.enqueue(handle, placed)
    await client.query('rollback')
    expect(await count()).toBe(before)
    await client.query('begin')
    await outbox.enqueue(handle, placed)
    await client.query('commit')
    expect(await count()).toBe(before + 1)
    await expect(outbox.enqueue(handle, placed)).rejects.toMatchObject({ details: { reason: 'finished' } })
    client.release()
  })

  test('a handle of another dialect is refused at run time as well', async () => {
    await using own = openNodePostgres(database.url)
    const outbox = pgOutbox({ db: own.db })
    const sqlite = onBetterSqlite(':memory:')
    // @ts-expect-error SQLite's handle has no execute
    expect(await failureOf(outbox.enqueue(sqlite, placed))).toMatchObject({ details: { reason: 'wrong-handle' } })
    // @ts-expect-error SQLite's database has no execute
    expect(() => pgOutbox({ db: sqlite })).toThrow('The option db is no drizzle database on PostgreSQL')
    const renaming = postgres('postgres://nowhere', { transform: postgres.camel })
    expect(() => pgOutbox({ db: onPostgresJs({ client: renaming }) })).toThrow('renames the columns of every answer')
    // @ts-expect-error nor can it be named one
    expect(() => asTransaction(sqlite)).toThrow('is no drizzle transaction on PostgreSQL')
    sqlite.$client.close()
  })
})

describe('transactions on PGlite', () => {
  const own = openPglite()
  const outbox = pgOutbox({ db: own.db })
  const inbox = pgInbox({ db: own.db })
  beforeAll(async () => {
    await setup(own.db)
    await setupInbox(own.db)
  })
  afterAll(() => own[Symbol.asyncDispose]())

  test('a handle that was opened by hand is a transaction while it is open', async () => {
    const handle = asTransaction(own.db)
    await own.db.execute('begin')
    await outbox.enqueue(handle, placed)
    await own.db.execute('commit')
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
    expect(await failureOf(outbox.enqueue(handle, placed))).toMatchObject({ details: { reason: 'finished' } })
    expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
  })

  test('calls at once in one transaction, and in a savepoint of it, are all in it', async () => {
    const receipts = await own.db.transaction(async (tx) => {
      const [one, other, isFirst, isSecond, inSavepoint] = await Promise.all([
        outbox.enqueue(tx, event('order.placed', { aggregateId: 'at-once-1', payload: {} })),
        outbox.enqueue(tx, event('order.placed', { aggregateId: 'at-once-2', payload: {} })),
        inbox.once(tx, 'billing', 'at-once-1', () => undefined),
        inbox.once(tx, 'billing', 'at-once-2', () => undefined),
        tx.transaction((nested) =>
          outbox.enqueue(nested, event('order.placed', { aggregateId: 'at-once-3', payload: {} })),
        ),
      ])
      expect([isFirst, isSecond]).toEqual([true, true])
      return [one, other, inSavepoint].flat()
    })
    const ids = receipts.map(({ id }) => id)
    const written = (await outbox.fetchUnpublished(10)).map(({ id }) => id)
    expect(written.filter((id) => ids.includes(id)).toSorted()).toEqual(ids.toSorted())
  })

  test('a savepoint that was rolled back takes its events along, and the transaction can enqueue on', async () => {
    const undone = new Error('undone on purpose')
    await own.db.transaction(async (tx) => {
      const inner = tx.transaction(async (nested) => {
        await outbox.enqueue(nested, event('order.undone', { aggregateId: '2', payload: {} }))
        throw undone
      })
      await expect(inner).rejects.toBe(undone)
      await outbox.enqueue(tx, event('order.kept', { aggregateId: '2', payload: {} }))
    })
    const entries = (await outbox.fetchUnpublished(10)).filter(({ aggregateId }) => aggregateId === '2')
    expect(entries.map(({ eventType }) => eventType)).toEqual(['order.kept'])
  })
})

async function failureOf(attempt: Promise<unknown>): Promise<OutboxError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (OutboxError.is(error)) return error
  throw new Error('Expected an OutboxError', { cause: error })
}
