import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { asTransaction, emptyLog, type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, startPostgres, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openNodePostgres, ownDatabase, sessionsWaiting } from './pg-databases.ts'
import { type HandRelay, handRelay, openLog, places, published, refused } from './pg-log-relay.ts'

const run = promisify(execFile)
const order = (aggregateId: string) => ({ type: 'order.placed', aggregateId, payload: { text: "it's" } })
const account = (aggregateId: string, sequence: number) => ({ ...order(aggregateId), type: 'account.moved', sequence })

/** Restores what stands in the schema `public` of one database in another. */
async function restore(from: string, to: string): Promise<void> {
  const { stdout } = await run('pg_dump', ['--dbname', from, '--schema', 'public', '--inserts'], { maxBuffer: 1e8 })
  const client = new Client({ connectionString: to })
  await client.connect()
  await client.query(stdout.replaceAll(/^(?:CREATE SCHEMA|COMMENT ON SCHEMA|\\).*$/gm, ''))
  await client.end()
}

describeWith('postgres', 'moving between the engines', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  test('under load, to the log and back, nothing is lost, repeated or out of order', { timeout: 600_000 }, async () => {
    await using own = openNodePostgres(database.url, { max: 10 })
    const place = { schema: `check ${crypto.randomUUID()}` }
    await setup(own.db, place)
    const outboxOf = (engine: 'mark' | 'log') => pgOutbox({ db: own.db, notify: 'off', engine, ...place })
    const mark = outboxOf('mark')
    let producer: readonly PgOutbox[] = [mark]
    let isWriting = true
    let written = 0
    const writers = Array.from({ length: 3 }, async (_, writer) => {
      for (let n = 0; isWriting; n++) {
        const outbox = producer[n % producer.length] ?? mark
        await own.db.transaction((tx) => outbox.enqueue(tx, [order(`w-${writer}-${n % 4}`), order(`shared-${n % 3}`)]))
        written += 2
      }
    })
    const lent = new Map<string, number[]>()
    let count = 0
    const relayBoth = async (stores: readonly [PgOutbox, PgOutbox], until: () => boolean) => {
      const relays = [await handRelay(stores[0], { to: 31 }), await handRelay(stores[1], { from: 32 })]
      const once = async (relay: HandRelay) => {
        const batch = await relay.fetch({ limit: 50 })
        for (const { aggregateId, sequence } of batch) {
          lent.set(aggregateId, [...(lent.get(aggregateId) ?? []), sequence])
          count += 1
        }
        await relay.settle(batch.map((entry) => ({ entry, outcome: 'published' })))
      }
      await Promise.all(
        relays.map(async (relay) => {
          while (!until()) await once(relay)
          await relay.leave()
        }),
      )
    }
    const after = (more: number) => {
      const goal = count + more
      return () => count >= goal
    }

    await relayBoth([mark, mark], after(100))
    // 1. the log is made; relays first, one by one; then producers, one by one
    await setup(own.db, { engine: 'log', ...place })
    const log = outboxOf('log')
    await relayBoth([log, mark], after(60))
    await relayBoth([log, log], after(60))
    producer = [mark, log]
    await relayBoth([log, log], after(200))
    producer = [log]
    await relayBoth([log, log], after(200))
    await expect(mark.check()).rejects.toMatchObject({ code: 'setup-required' })
    // 2. and back: producers first, then, once the log owes nothing, relays
    producer = [mark, log]
    await relayBoth([log, log], after(100))
    producer = [mark]
    await relayBoth([log, log], after(100))
    const owesNothing = async () =>
      mark.check().then(
        () => true,
        () => false,
      )
    while (!(await owesNothing())) await relayBoth([log, log], after(20))
    await relayBoth([mark, log], after(60))
    await relayBoth([mark, mark], after(60))
    isWriting = false
    await Promise.all(writers)
    await relayBoth([mark, mark], () => count >= written)

    for (const [id, sequences] of lent) {
      expect(sequences, id).toEqual(Array.from({ length: sequences.length }, (_, index) => index + 1))
    }
    expect(count).toBe(written)
    expect((await mark.stats()).pending).toBe(0)
  })

  test('emptyLog refuses a connection whose transactions would not see what was committed while it waited', async () => {
    await using log = await openLog(database.url)
    const strict = new URL(database.url)
    strict.searchParams.set('options', '-c default_transaction_isolation=repeatable\\ read')
    await using other = openNodePostgres(strict.href)
    await expect(emptyLog(other.db)).rejects.toMatchObject({
      code: 'setup-required',
      message: expect.stringContaining("default_transaction_isolation = 'read committed'"),
    })
    await emptyLog(log.db)
  })

  test('a dump that is restored on a server that counts other transactions is refused, and goes on after emptyLog', async () => {
    await using log = await openLog(database.url)
    const commit = (...ids: string[]) => log.db.transaction((tx) => log.outbox.enqueue(tx, ids.map(order)))
    await commit('a', 'b', 'c', 'd')
    const relay = await handRelay(log.outbox)
    await relay.settle((await relay.fetch()).flatMap((entry) => (entry.aggregateId === 'a' ? refused(entry) : [])))
    await commit('a', 'b', 'e')
    await log.outbox.check()

    await using other = await startPostgres()
    await restore(database.url, other.url)
    await using restored = openNodePostgres(other.url)
    const outbox = pgOutbox({ db: restored.db, engine: 'log', notify: 'off' })
    await expect(outbox.check()).rejects.toMatchObject({
      code: 'setup-required',
      message: expect.stringContaining('emptyLog'),
    })
    await emptyLog(restored.db)
    await outbox.check()
    await restored.db.transaction((tx) => outbox.enqueue(tx, [order('b'), order('f')]))
    const next = await handRelay(outbox)
    const all = places(await next.drain({ limit: 3 }))
    expect(all.toSorted()).toEqual(['a#1', 'a#2', 'b#1', 'b#2', 'b#3', 'c#1', 'd#1', 'e#1', 'f#1'])
    expect(all.filter((place) => place.startsWith('b'))).toEqual(['b#1', 'b#2', 'b#3'])
    expect(await outbox.stats()).toMatchObject({ pending: 0 })
    await emptyLog(restored.db)
    expect(await next.fetch()).toEqual([])
  })
})

describeWith('postgres', 'a log on a server that counts other transactions', () => {
  let database: TestDatabase
  afterEach(() => database[Symbol.asyncDispose]())

  describe.each(['rotated before', 'never rotated'])('%s', (when) => {
    test.each(['with its sequences, as in a dump', 'without them, as in a logical replication'])(
      '%s: what is enqueued there before emptyLog is kept, and nothing comes again',
      async (how) => {
        database = await ownDatabase()
        await using log = await openLog(database.url)
        // higher numbers than the new server has given
        await log.db.$client.query(`
        create temporary table noise (n int);
        do $$ begin
          for n in 1..20000 loop begin insert into noise values (n); exception when others then null; end; end loop;
        end $$`)
        const old = Array.from({ length: 300 }, (_, n) => `old-${n}`)
        for (const half of [old.slice(0, 150), old.slice(150)]) {
          await log.db.transaction((tx) => log.outbox.enqueue(tx, half.map(order)))
          await (await handRelay(log.outbox, { evicts: true })).drain()
        }
        if (when === 'rotated before')
          await log.db.$client.query(`select setval('outbox_log_slot', pg_current_xact_id()::text::bigint * 4)`)
        await log.db.transaction((tx) => log.outbox.enqueue(tx, order('owed')))

        await using server = await startPostgres()
        await restore(database.url, server.url)
        await using own = openNodePostgres(server.url)
        if (how.startsWith('without')) await own.db.$client.query(`select setval('outbox_entries_position_seq', 1)`)
        const outbox = pgOutbox({ db: own.db, engine: 'log', notify: 'off' })
        await expect(outbox.check()).rejects.toMatchObject({ code: 'setup-required' })
        const fresh = Array.from({ length: 200 }, (_, n) => `new-${n}`)
        await own.db.transaction(async (tx) => {
          await outbox.enqueue(tx, fresh.slice(0, 150).map(order))
          await tx.transaction((savepoint) => outbox.enqueue(savepoint, fresh.slice(150).map(order)))
        })
        await emptyLog(own.db)
        await outbox.check()
        const relay = await handRelay(outbox, { evicts: true })
        expect(places(await relay.drain()).toSorted()).toEqual([...fresh, 'owed'].map((id) => `${id}#1`).toSorted())
      },
    )
  })

  test('after pg_upgrade is told of, and may stay as it is; emptyLog does no harm either', async () => {
    database = await ownDatabase()
    await using log = await openLog(database.url)
    const commit = (...ids: string[]) => log.db.transaction((tx) => log.outbox.enqueue(tx, ids.map(order)))
    await commit('a', 'b')
    const relay = await handRelay(log.outbox)
    await relay.drain()
    await commit('a')
    const upgrade = `update outbox_meta set value = '1' where key = 'log-server'`
    await log.db.$client.query(upgrade)
    await expect(log.outbox.check()).rejects.toMatchObject({ message: expect.stringContaining('pg_upgrade') })
    await log.db.$client.query(`delete from outbox_meta where key = 'log-server'`)
    await log.outbox.check()
    expect(places(await relay.drain())).toEqual(['a#2'])
    await commit('c')
    await log.db.$client.query(upgrade)
    await emptyLog(log.db)
    await log.outbox.check()
    expect(places(await (await handRelay(log.outbox, { evicts: true })).drain())).toEqual(['c#1'])
  })
})

describeWith('postgres', 'an entry of a producer with the mark engine that has the number of one in the log', () => {
  let database: TestDatabase
  let log: Awaited<ReturnType<typeof openLog>>
  let relay: HandRelay
  afterEach(async () => {
    await log[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })
  const begin = async () => {
    database = await ownDatabase()
    log = await openLog(database.url)
    relay = await handRelay(log.outbox)
    const mark = pgOutbox({ db: log.db, notify: 'off' })
    const commit = (outbox: PgOutbox, ...events: ReturnType<typeof order>[]) =>
      log.db.transaction((tx) => outbox.enqueue(tx, events))
    return { mark, commit }
  }
  const told = {
    entry: { aggregateId: 'x', sequence: -6 },
    reason: expect.stringContaining('Another entry has the number 5 of this aggregate.'),
  }

  test('goes out, the other is a dead letter, and all others go on', async () => {
    const { mark, commit } = await begin()
    await commit(log.outbox, account('x', 5), account('x', 7))
    await commit(mark, account('x', 5))
    await commit(log.outbox, ...Array.from({ length: 60 }, (_, n) => order(`other-${n}`)))
    const all = places(await relay.drain())
    expect(all).toHaveLength(62)
    expect(all.filter((place) => place.startsWith('x'))).toEqual(['x#5', 'x#7'])
    expect(await log.outbox.deadLetters.list({ limit: 10 })).toMatchObject([told])
    expect(await log.outbox.stats()).toMatchObject({ pending: 0, dead: 1 })
    // its number is the other's: it would go out under one that no consumer knows
    expect(await log.outbox.deadLetters.requeueAll({})).toBe(0)
    expect(await log.outbox.deadLetters.discardAll({})).toBe(1)
  })

  test.each(['a take-over', 'a purge'])(
    'is no hindrance to %s either if it is committed at this moment',
    async (what) => {
      const { commit } = await begin()
      await commit(log.outbox, account('x', 5))
      if (what === 'a take-over') expect(await relay.fetch()).toHaveLength(1)
      const client = new Client({ connectionString: database.url })
      await client.connect()
      await client.query('begin')
      const mark = pgOutbox({ db: log.db, notify: 'off' })
      await mark.enqueue(asTransaction(drizzle({ client })), account('x', 5))
      const meeting =
        what === 'a take-over'
          ? handRelay(log.outbox, { evicts: true })
          : log.outbox.purge({ olderThanMs: 0, limit: 10 }).then(() => undefined)
      await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: `${what} to wait` })
      await client.query('commit')
      await client.end()
      await meeting
      expect(await log.outbox.deadLetters.list({ limit: 10 })).toMatchObject([told])
    },
  )

  test('is no hindrance either if it is committed at this moment', async () => {
    const { commit } = await begin()
    const markIn = async (client: Client) =>
      pgOutbox({ db: log.db, notify: 'off' }).enqueue(asTransaction(drizzle({ client })), account('x', 5))
    await commit(log.outbox, account('x', 3))
    await relay.settle((await relay.fetch()).map((entry) => refused(entry, 1e9)))
    await commit(log.outbox, account('x', 5), order('other'))
    const client = new Client({ connectionString: database.url })
    await client.connect()
    await client.query('begin')
    await markIn(client)
    const fetching = relay.fetch()
    await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the fetch to wait' })
    await client.query('commit')
    await client.end()
    expect(places(await fetching)).toEqual(['other#1'])
    expect(await log.outbox.deadLetters.list({ limit: 10 })).toMatchObject([told])
  })

  test('is no hindrance where that is refused, or a relay dies with it, or it is moved', async () => {
    const { mark, commit } = await begin()
    await commit(mark, account('x', 5))
    await relay.drain()
    const double = async () => {
      await log.outbox.deadLetters.discardAll({})
      await log.db.$client.query('delete from outbox_entries where sequence < 0')
      // an entry that the log does not know: its producer has looked before that one was written
      await log.db.$client.query(`update outbox_entries set sequence = 1 where sequence = 5`)
      await commit(log.outbox, account('x', 5))
      await log.db.$client.query(`update outbox_entries set sequence = 5 where sequence = 1`)
    }
    await double()
    await commit(log.outbox, order('a'))
    const lent = await relay.fetch()
    expect(places(lent).toSorted()).toEqual(['a#1', 'x#5'])
    await relay.settle(lent.map((entry) => (entry.aggregateId === 'x' ? refused(entry) : published(entry))))
    expect(await log.outbox.deadLetters.list({ limit: 10 })).toMatchObject([told])
    await relay.drain()
    await log.db.$client.query('truncate outbox_log')
    await double()
    expect(await relay.fetch()).toHaveLength(1)
    relay = await handRelay(log.outbox, { evicts: true })
    expect(await relay.drain()).toEqual([])
    expect(await log.outbox.deadLetters.list({ limit: 10 })).toMatchObject([told])
    await log.db.$client.query('truncate outbox_log')
    await double()
    await emptyLog(log.db)
    expect(await log.outbox.deadLetters.list({ limit: 10 })).toMatchObject([told])
  })
})
