import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { emptyLog, type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, startPostgres, type TestDatabase } from '@outbox/services'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { type HandRelay, handRelay, openLog, places, refused } from './pg-log-relay.ts'

const run = promisify(execFile)
const order = (aggregateId: string) => ({ type: 'order.placed', aggregateId, payload: { text: "it's" } })

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
    const { stdout } = await run('pg_dump', ['--dbname', database.url, '--schema', 'public', '--inserts'], {
      maxBuffer: 1e8,
    })
    const client = new Client({ connectionString: other.url })
    await client.connect()
    await client.query(stdout.replaceAll(/^(?:CREATE SCHEMA|COMMENT ON SCHEMA|\\).*$/gm, ''))
    await client.end()

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
