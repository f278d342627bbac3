import { partitionOf } from '@outbox/core'
import type { PgOutbox } from '@outbox/drizzle/pg'
import { asTransaction, pgOutbox } from '@outbox/drizzle/pg'
import { describeWith, startPostgres, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { type Client, Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { ownDatabase, sessionsWaiting } from './pg-databases.ts'
import { beginOn, type HandRelay, handRelay, insideOf, openLog, places, published, refused } from './pg-log-relay.ts'
import { watching } from './pg-watching.ts'

const order = (aggregateId: string) => ({ type: 'order.placed', aggregateId, payload: {} })
const account = (aggregateId: string, sequence: number) => ({ ...order(aggregateId), type: 'account.moved', sequence })

describeWith('postgres', 'what a log may stumble over', () => {
  let database: TestDatabase
  let log: Awaited<ReturnType<typeof openLog>>
  let outbox: PgOutbox
  const clients: Client[] = []

  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())
  beforeEach(async () => {
    log = await openLog(database.url, { schema: `check ${crypto.randomUUID()}` })
    outbox = log.outbox
    // types that are known: the first transaction of a type makes the others wait
    await commit(order('first'), account('first', 1))
    const relay = await handRelay(outbox)
    await relay.drain()
    await relay.leave()
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.end()
    await log[Symbol.asyncDispose]()
  })

  async function begin(url = database.url) {
    const begun = await beginOn(url, outbox)
    clients.push(begun.client)
    return begun
  }
  const commit = (...events: Parameters<PgOutbox['enqueue']>[1][]) =>
    log.db.transaction((tx) => outbox.enqueue(tx, events.flat()))

  test('a transaction that began first and commits last, and waited for the others, comes after them', async () => {
    const early = await begin()
    await commit(account('a', 1), order('b'))
    await early.enqueue(account('a', 2), order('b'))
    await early.client.query('commit')
    const relay = await handRelay(outbox)
    expect(places(await relay.fetch({ limit: 64, limitPerAggregate: 1 })).toSorted()).toEqual(['a#1', 'b#1'])
    const all = places(await relay.drain({ limit: 1 }))
    expect(all.filter((place) => place.startsWith('a'))).toEqual(['a#1', 'a#2'])
    expect(all.filter((place) => place.startsWith('b'))).toEqual(['b#1', 'b#2'])
  })

  test('an id that an open transaction writes is waited for, and known, though the number beside it is taken', async () => {
    const [early, other] = [await begin(), await begin()]
    const id = crypto.randomUUID()
    await early.enqueue(account('a', 1))
    await other.enqueue({ ...account('b', 1), id })
    const again = early.enqueue({ ...account('a', 1), id })
    await waitFor(async () => (await sessionsWaiting(database)) > 0, { what: 'it to wait for the other transaction' })
    await other.client.query('commit')
    expect(await again).toEqual([{ id, sequence: 1, duplicate: true }])
  })

  test('a number that is taken is told of, wherever it stands: in the leaf, in one before, aside', async () => {
    const taken = { code: 'sequence-conflict', details: { aggregateId: 'a', sequence: 1 } }
    const again = () => commit(account('a', 1))
    await again()
    await expect(again()).rejects.toMatchObject(taken)
    const sql = (text: string) => log.db.$client.query(text.replaceAll('~', `"${log.schema}".outbox_`))
    await sql(`select setval('~log_slot', 1)`)
    await expect(again()).rejects.toMatchObject(taken)
    const relay = await handRelay(outbox)
    await relay.settle((await relay.fetch()).map((entry) => refused(entry, 1e9)))
    await sql('truncate ~log_0')
    await expect(again()).rejects.toMatchObject(taken)
    expect((await outbox.stats()).pending).toBe(1)
  })

  test('what was written early and committed late is lent, after windows and windows of others', async () => {
    const early = await begin()
    await early.enqueue(Array.from({ length: 100 }, (_, n) => order(`early-${n}`)))
    const relay = await handRelay(outbox)
    for (let round = 0; round < 5; round++) {
      await commit(Array.from({ length: 50 }, (_, n) => order(`other-${n}`)))
      expect(await relay.drain({ limit: 20 })).toHaveLength(50)
    }
    await early.client.query('commit')
    const { duePartitions } = await outbox.poll({ holder: relay.holder })
    expect(duePartitions.length).toBeGreaterThan(0)
    expect(await relay.drain({ limit: 7 })).toHaveLength(100)
    expect((await outbox.stats()).pending).toBe(0)
  })

  test('a transaction elsewhere that has written and stays open delays nobody', async () => {
    const elsewhere = await begin()
    await elsewhere.client.query('create temporary table noise as select 1')
    await commit(order('a'), order('b'))
    const relay = await handRelay(outbox)
    expect(await relay.drain()).toHaveLength(2)
    await commit(order('a'), order('c'))
    expect(await relay.drain()).toHaveLength(2)
    await elsewhere.client.query('rollback')
    expect(await relay.drain()).toHaveLength(0)
  })

  test('savepoints: what was rolled back to one is never lent, the rest is, once its transaction has ended', async () => {
    const early = await begin()
    const relay = await handRelay(outbox)
    await early.client.query('savepoint s')
    await early.enqueue(order('kept'))
    await early.client.query('release savepoint s')
    await early.client.query('savepoint s')
    await early.enqueue(order('undone'))
    await early.client.query('rollback to savepoint s')
    await commit(order('other'))
    expect(places(await relay.drain())).toEqual(['other#1'])
    await early.enqueue(order('kept'))
    await commit(order('other'))
    expect(places(await relay.drain())).toEqual(['other#2'])
    await early.client.query('commit')
    expect(places(await relay.drain())).toEqual(['kept#1', 'kept#2'])
  })

  /** Fetches once, and does something before each statement of that, however often it is run. */
  async function fetchWith({ leases }: HandRelay, beforeStatement: (nth: number) => Promise<void>) {
    let count = 0
    const client = watching(log.db.$client, async () => {
      count += 1
      await beforeStatement(count)
    })
    const watched = pgOutbox({ db: drizzle({ client }), engine: 'log', notify: 'off', schema: schemaOf(log) })
    return watched.fetch({ leases, limit: 500, limitPerAggregate: 500, maxBytes: 1e8 })
  }
  /** so many positions that a cursor notes them before it opens a window */
  const unseen = Array.from({ length: 4_100 }, (_, n) => order(`order-${n % 2050}`))

  test('what is written while a cursor notes what it has seen is lent, whenever it is committed', async () => {
    const early = await begin()
    await early.enqueue(order('early'))
    await commit(unseen)
    const relay = await handRelay(outbox)
    const open = [early]
    const lent = await fetchWith(relay, async (nth) => {
      const other = await begin()
      await other.enqueue(order(`before statement ${nth}`))
      open.push(other)
    })
    expect(open).toHaveLength(3) // two statements: it noted, and then looked again
    expect(lent.length).toBeGreaterThan(400)
    await relay.settle(lent.map(published))
    expect(lent.length + (await relay.drain()).length).toBe(unseen.length)
    await commit(order('after'))
    for (const { client } of open) await client.query('commit')
    expect((await outbox.poll({ holder: relay.holder })).duePartitions).not.toEqual([])
    expect(places(await relay.drain()).toSorted()).toEqual([
      'after#1',
      'before statement 1#1',
      'before statement 2#1',
      'early#1',
    ])
  })

  test('what is written while a fetch waits for its leases is lent, whenever it is committed', async () => {
    await commit(unseen)
    const relay = await handRelay(outbox)
    const elsewhere = await begin()
    await elsewhere.client.query(`select from "${schemaOf(log)}".outbox_leases where partition = 63 for update`)
    const fetching = relay.fetch() // has locked the other leases, and so has its transaction id
    await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the fetch to wait' })
    const late = await begin()
    await late.enqueue(order('x'))
    await elsewhere.client.query('commit')
    const lent = await fetching
    await relay.settle(lent.map(published))
    expect(lent.length + (await relay.drain()).length).toBe(unseen.length)
    await late.client.query('commit')
    expect(places(await relay.drain())).toEqual(['x#1'])
    expect((await outbox.stats()).pending).toBe(0)
  })

  test('a relay is told of a sequence that it may not read, or that gives positions out ahead', async () => {
    const sequence = `"${schemaOf(log)}".outbox_entries_position_seq`
    await outbox.check()
    await log.db.$client.query(`alter sequence ${sequence} cache 10`)
    await expect(outbox.check()).rejects.toMatchObject({
      code: 'setup-required',
      message: expect.stringContaining('cache 1, and end the sessions that have enqueued'),
    })
    await log.db.$client.query(`alter sequence ${sequence} cache 1`)
    await outbox.check()
  })

  test('a relay that is gone when it has noted what it has seen leaves all of it to the next', async () => {
    await commit(unseen)
    const died = fetchWith(await handRelay(outbox), async (nth) => {
      if (nth === 2) throw new Error('gone')
    })
    await expect(died).rejects.toThrow()
    const heir = await handRelay(outbox, { evicts: true })
    const all = await heir.drain()
    expect(all).toHaveLength(unseen.length)
    const first = all.filter(({ aggregateId }) => aggregateId === 'order-0').map(({ sequence }) => sequence)
    expect(first).toEqual([1, 2])
    expect(all.filter(({ crashes }) => crashes > 0)).toEqual([])
  })

  test('two enqueues of one transaction, higher first, come in order across any page', async () => {
    const relay = await handRelay(outbox)
    const early = await begin()
    // more of them than the deepest page holds
    await early.enqueue(Array.from({ length: 4000 }, (_, n) => account('a', 100 + n)))
    await early.enqueue(Array.from({ length: 5 }, (_, n) => account('a', 10 + n)))
    await early.client.query('commit')
    const sequences = (await relay.drain({ limit: 300 })).map(({ sequence }) => sequence)
    expect(sequences).toHaveLength(4005)
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b))
  })

  test('a batch larger than a look at one transaction passes over nothing of it', async () => {
    const early = await begin()
    const bulk = Array.from({ length: 12_000 }, () => order('bulk'))
    for (let from = 0; from < bulk.length; from += 4000) await early.enqueue(bulk.slice(from, from + 4000))
    const partition = partitionOf('order', 'bulk')
    const ids = Array.from({ length: 60_000 }, (_, n) => `neighbour-${n}`)
    const neighbours = ids.filter((id) => partitionOf('order', id) === partition).slice(0, 500)
    const relay = await handRelay(outbox)
    // until windows begin above all that it wrote, and it is looked for by its id
    for (const neighbour of neighbours.slice(0, 4)) {
      await commit(order(neighbour))
      expect(await relay.drain()).toHaveLength(1)
    }
    await commit(neighbours.map(order))
    await early.client.query('commit')
    const all = await relay.drain({ limit: 8000, limitPerAggregate: 100 })
    expect(all).toHaveLength(bulk.length + neighbours.length)
    const sequences = all.filter(({ aggregateId }) => aggregateId === 'bulk').map(({ sequence }) => sequence)
    expect(sequences).toEqual(bulk.map((_, n) => n + 1))
  })

  test('a window in which only settled entries are left gives way to the next within the same fetch', async () => {
    // both of partition 37
    await commit(account('81', 1), order('1'))
    await commit(account('81', 0)) // late: it stands aside, and so does what follows it
    const relay = await handRelay(outbox)
    await relay.settle((await relay.fetch()).map(published))
    await commit(order('1'))
    expect((await outbox.poll({ holder: relay.holder })).duePartitions).toEqual([37])
    expect(places(await relay.fetch())).toEqual(['1#2'])
  })

  test('an aggregate whose block was lifted is due again, by what stands in the log', async () => {
    const relay = await handRelay(outbox)
    await commit(order('1'))
    const settlements = (await relay.fetch()).map(
      (entry) => ({ entry, outcome: 'dead', reason: 'poison', blocksAggregate: true }) as const,
    )
    await relay.settle(settlements)
    await commit(order('1'))
    const due = async () => (await outbox.poll({ holder: relay.holder })).duePartitions
    expect(await due()).toEqual([])
    await outbox.deadLetters.discardAll({})
    expect(await due()).toEqual([37])
    expect(places(await relay.fetch())).toEqual(['1#2'])
  })

  test('a fetch that waited for its lease, and whose cursor has moved meanwhile, looks again from there', async () => {
    await commit(order('a'))
    const relay = await handRelay(outbox)
    // another statement of the same relay, whose caller has given it up, still holds the leases' rows
    const { client } = await begin()
    const inside = insideOf(client, schemaOf(log))
    const request = { leases: relay.leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 }
    const first = await inside.fetch(request)
    expect(places(first)).toEqual(['a#1'])
    const blocked = relay.fetch()
    await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the fetch to wait' })
    await commit(order('b'))
    await inside.settle({ leases: relay.leases, settlements: first.map(published) })
    const second = await inside.fetch(request)
    expect(places(second)).toEqual(['b#1'])
    await client.query('commit')
    expect(places(await blocked)).toEqual(['b#1'])
    expect(places(await relay.drain())).toEqual(['b#1'])
    await commit(order('a'))
    expect(places(await relay.drain())).toEqual(['a#2'])
  })

  test('a settle that waited for its lease passes nothing that it has not seen', async () => {
    const straggler = await begin()
    await straggler.enqueue(account('a', 1))
    await commit(account('a', 2))
    const relay = await handRelay(outbox)
    const lent = await relay.fetch()
    expect(places(lent)).toEqual(['a#2'])
    // another statement of the same relay goes on to the next window, where a lower position has turned up
    const { client } = await begin()
    const inside = insideOf(client, schemaOf(log))
    const request = { leases: relay.leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 }
    await inside.fetch(request)
    const settled = relay.settle(lent.map((entry) => refused(entry)))
    await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the settle to wait' })
    await straggler.client.query('commit')
    await inside.settle({ leases: relay.leases, settlements: lent.map(published) })
    expect(await inside.fetch(request)).toMatchObject([{ sequence: 1, isLate: true }])
    await client.query('commit')
    expect(await settled).toEqual([])
    expect(places(await relay.drain())).toEqual(['a#1'])
  })

  test('an entry is late where a higher one was published, and not where that is dead', async () => {
    const relay = await handRelay(outbox)
    for (const ends of ['dead', 'published'] as const) {
      const early = await begin()
      await early.enqueue(account(ends, 4))
      await commit(account(ends, 5))
      const five = await relay.fetch()
      expect(places(five)).toEqual([`${ends}#5`])
      await relay.settle(
        five.map((entry) =>
          ends === 'published' ? published(entry) : { entry, outcome: ends, reason: 'poison', blocksAggregate: false },
        ),
      )
      await early.client.query('commit')
      const four = await relay.fetch()
      expect(four).toMatchObject([{ aggregateId: ends, sequence: 4, isLate: ends === 'published' }])
      await relay.settle(four.map(published))
    }
  })

  test('a smooth drain leaves no dead row per entry', async () => {
    const count = 2000
    await commit(Array.from({ length: count }, (_, n) => order(`a-${n % 50}`)))
    const relay = await handRelay(outbox)
    expect(await relay.drain({ limit: 200 })).toHaveLength(count)
    const text = `
      select sum(n_dead_tup) filter (where relname <> 'outbox_log_cursors' and relname <> 'outbox_leases'
          and relname <> 'outbox_sequences' and relname <> 'outbox_relays')::int as of_entries,
        sum(n_tup_ins) filter (where relname like 'outbox_log__')::int as appended
      from pg_stat_user_tables where schemaname = $1`
    const seen = () => log.db.$client.query(text, [schemaOf(log)])
    await waitFor(async () => (await seen()).rows[0].appended >= count, { what: 'the statistics' })
    expect((await seen()).rows[0].of_entries).toBe(0)
    const { rows } = await log.db.$client.query(`select count(*)::int as count from "${schemaOf(log)}".outbox_entries`)
    expect(rows[0].count).toBe(0)
  })

  function schemaOf({ schema }: { readonly schema?: string }): string {
    return schema ?? 'public'
  }
})

describeWith('postgres', 'prepared transactions', () => {
  test('what was prepared is lent once it is committed, and delays nobody before', async () => {
    await using server = await startPostgres({ settings: { max_prepared_transactions: '5' } })
    await using log = await openLog(server.url)
    const commit = (id: string) => log.db.transaction((tx) => log.outbox.enqueue(tx, order(id)))
    await commit('first')
    const pool = new Pool({ connectionString: server.url })
    const client = await pool.connect()
    await client.query('begin')
    await log.outbox.enqueue(asTransaction(drizzle({ client })), order('prepared'))
    await client.query(`prepare transaction 'one'`)
    const relay = await handRelay(log.outbox)
    expect(places(await relay.drain())).toEqual(['first#1'])
    for (const id of ['a', 'b']) {
      await commit(id)
      expect(places(await relay.drain())).toEqual([`${id}#1`])
    }
    await client.query(`commit prepared 'one'`)
    expect(places(await relay.drain())).toEqual(['prepared#1'])
    client.release()
    await pool.end()
  })
})
