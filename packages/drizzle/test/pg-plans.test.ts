import { randomUUID } from 'node:crypto'
import { event, type Lease } from '@outbox/core'
import { pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { explaining, nodesOf, type PlanNode, rowsRead } from './pg-explaining.ts'
import { handRelay } from './pg-log-relay.ts'

/** Half a million entries, most of them settled, the way an outbox looks that is purged once a week; and a backlog. */
const settledCount = 399_000
const pendingCount = 100_000
const deadCount = 1000
/** a multiple of the number of partitions, so that each aggregate keeps to one */
const aggregateCount = 312 * 64
/** aggregates that wait, each with an entry */
const waitingCount = 50_000
/** What a call may read of the large tables: some times what it is asked for, and nothing that grows with them. */
const mostRowsRead = 30_000

describeWith('postgres', 'plans on half a million entries', () => {
  let database: TestDatabase
  let pool: Pool
  let plans: PlanNode[]

  beforeAll(async () => {
    database = await ownDatabase()
    pool = new Pool({ connectionString: database.url })
    await setup(drizzle({ client: pool }))
    await setupInbox(drizzle({ client: pool }))
    await pool.query(`
      insert into outbox_entries
        (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state, settled_at, settled_by, reason)
      select gen_random_uuid(), n % 64, 'order', (n % ${aggregateCount})::text, 'order.placed', n, '{}',
        case when n <= ${settledCount} then 'published' when n <= ${settledCount + pendingCount} then 'pending' else 'dead' end,
        case when n <= ${settledCount} or n > ${settledCount + pendingCount} then now() - interval '1 day' + n * interval '1 microsecond' end,
        case when n > ${settledCount + pendingCount} then 'h' end,
        case when n > ${settledCount + pendingCount} then 'poison' end
      from generate_series(1, ${settledCount + pendingCount + deadCount}) n`)
    await pool.query(`
      insert into outbox_inbox select 'billing', n::text, now() - n * interval '1 second' from generate_series(1, 200000) n`)
    await pool.query(`insert into outbox_sequences select 'order', n::text, 1000000 from generate_series(0, 19999) n`)
  })
  afterAll(async () => {
    await pool.end()
    await database[Symbol.asyncDispose]()
  })

  describe.each(['without statistics', 'with statistics'])('%s', (statistics) => {
    let leases: readonly Lease[]
    const calls = () => {
      plans = []
      const db = drizzle({ client: explaining(pool, (plan) => plans.push(plan)) })
      return { db, outbox: pgOutbox({ db, notify: 'off' }), inbox: pgInbox({ db }) }
    }

    beforeAll(async () => {
      if (statistics === 'with statistics') await pool.query('vacuum analyze')
      const outbox = pgOutbox({ db: drizzle({ client: pool }) })
      await outbox.join({ holder: statistics })
      const { relays, leases: claims } = await outbox.poll({ holder: statistics })
      const evict = relays.filter(({ holder }) => holder !== statistics)
      leases = await outbox.acquire({ holder: statistics, claims, evict })
      expect(leases).toHaveLength(64)
      // crashes make what was in flight go out alone
      await pool.query('update outbox_entries set crashes = 0 where crashes > 0')
    })

    test('poll', async () => {
      expect((await calls().outbox.poll({ holder: statistics })).duePartitions).toHaveLength(64)
      expectCheap()
    })

    test('fetch and settle', async () => {
      const { outbox } = calls()
      const due = await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
      expect(due).toHaveLength(500)
      expectCheap()
      const outcomes = ['published', 'published', 'dead', 'retry'] as const
      const settlements = due.map((entry, index) => {
        const outcome = outcomes[index % 4] ?? 'published'
        if (outcome === 'published') return { entry, outcome }
        if (outcome === 'dead') return { entry, outcome, reason: 'poison', blocksAggregate: true }
        return { entry, outcome, retryInMs: 1e9, isRefusal: true, reason: 'later' }
      })
      await outbox.settle({ leases, settlements })
      expectCheap()
    })

    test('enqueue, of one and of hundreds, new and known', async () => {
      const { db, outbox } = calls()
      const placed = (count: number) =>
        Array.from({ length: count }, (_, n) =>
          event('order.placed', { id: randomUUID(), aggregateId: `${n}`, payload: {} }),
        )
      const [one, hundreds] = [placed(1), placed(500)]
      for (const batch of [one, placed(1), hundreds, one, hundreds]) {
        await db.transaction((tx) => outbox.enqueue(tx, batch))
        expectCheap()
      }
    })

    test('fetchUnpublished and markPublished', async () => {
      const { outbox } = calls()
      const entries = await outbox.fetchUnpublished(100)
      expectCheap()
      await outbox.markPublished(entries.map(({ id }) => id))
      expectCheap()
    })

    test('acquire, of leases with a thousand entries in flight', async () => {
      const due = await pgOutbox({ db: drizzle({ client: pool }) }).fetch({
        ...{ leases, limit: 1000, limitPerAggregate: 100, maxBytes: 1e9 },
      })
      expect(due.length).toBeGreaterThan(500)
      const other = `${statistics}, next`
      const { outbox } = calls()
      await outbox.join({ holder: other })
      const { relays, leases: claims } = await outbox.poll({ holder: other })
      plans = []
      leases = await outbox.acquire({ holder: other, claims, evict: relays.filter(({ holder }) => holder !== other) })
      expect(leases).toHaveLength(64)
      expectCheap()
    })

    test('stats', async () => {
      const { pending, dead } = await calls().outbox.stats()
      expect(pending).toBeGreaterThan(pendingCount / 2)
      expect(dead).toBeGreaterThanOrEqual(deadCount)
      expectCheap(2 * pendingCount) // it counts them
    })

    test('dead letters: the first page, a later one, by filter, requeued, discarded', async () => {
      const { deadLetters } = calls().outbox
      const first = await deadLetters.list({ limit: 100 })
      expectCheap()
      const after = first.at(-1)?.entry.id ?? ''
      expect(await deadLetters.list({ limit: 100, after })).toHaveLength(100)
      expectCheap()
      await deadLetters.list({ limit: 100, where: { eventType: 'order.lost', diedBefore: new Date() } })
      expectCheap()
      await deadLetters.list({ limit: 100, where: { aggregateType: 'order', aggregateId: '19900' } })
      expectCheap()
      expect(await deadLetters.requeue(first.slice(0, 50).map(({ entry }) => entry.id))).toBe(50)
      expectCheap()
      expect(await deadLetters.discard(first.slice(50).map(({ entry }) => entry.id))).toBe(50)
      expectCheap()
    })

    test('purge, of entries and of messages', async () => {
      const { outbox, inbox } = calls()
      expect(await outbox.purge({ olderThanMs: 0, limit: 3000 })).toBe(3000)
      expectCheap()
      expect(await inbox.purge({ olderThanMs: 0, limit: 3000 })).toBe(3000)
      expectCheap()
    })
  })

  /** No scan of a whole large table, whatever its name: neither sequential nor through an index. */
  function expectCheap(mostRows = mostRowsRead): void {
    expect(plans.length).toBeGreaterThan(0)
    for (const plan of plans.splice(0)) {
      const scans = nodesOf(plan).filter((node) => /_entries|_inbox|_sequences/.test(node['Relation Name'] ?? ''))
      const read = scans.map((node) => ({
        scan: `${node['Node Type']} of ${node['Relation Name']}`,
        rows: rowsRead(node),
      }))
      expect(read.filter(({ scan, rows }) => scan.startsWith('Seq') || rows > mostRows)).toEqual([])
    }
  }
})

describeWith('postgres', 'a backlog that the planner knows nothing of', () => {
  test('is read no further than it is lent', async () => {
    await using database = await ownDatabase()
    await using own = openNodePostgres(database.url)
    await setup(own.db)
    await own.db.$client.query(`
      insert into outbox_entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
      select gen_random_uuid(), n % 64, 'order', (n % ${aggregateCount})::text, 'order.placed', n, '{}'
      from generate_series(1, ${pendingCount}) n`)
    const { leases } = await handRelay(pgOutbox({ db: own.db, notify: 'off' }))
    const plans: PlanNode[] = []
    const client = explaining(own.db.$client, (plan) => plans.push(plan))
    const outbox = pgOutbox({ db: drizzle({ client }), notify: 'off' })
    expect(await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })).toHaveLength(500)
    const scans = plans.flatMap(nodesOf).filter((node) => /_entries/.test(node['Relation Name'] ?? ''))
    expect(scans.map(rowsRead).filter((rows) => rows > mostRowsRead)).toEqual([])
    expect(scans.length).toBeGreaterThan(3)
  })
})

describeWith('postgres', 'what waits in the partitions of others', () => {
  test.each(['mark', 'log'] as const)('is not read by a relay with the engine %s', async (engine) => {
    await using database = await ownDatabase()
    await using own = openNodePostgres(database.url)
    await setup(own.db, { engine })
    const sql = (text: string) => own.db.$client.query(text)
    for (const table of ['entries', 'aggregates'])
      await sql(`alter table outbox_${table} set (autovacuum_enabled = false)`)
    const { holder, leases } = await handRelay(pgOutbox({ db: own.db, engine, notify: 'off' }), { from: 32 })
    const read: number[] = []
    const client = explaining(own.db.$client, (plan) => {
      const scans = nodesOf(plan).filter((node) => /_(aggregates|entries)$/.test(node['Relation Name'] ?? ''))
      read.push(...scans.map(rowsRead))
    })
    const outbox = pgOutbox({ db: drizzle({ client }), engine, notify: 'off' })
    const batch = Array.from({ length: 1000 }, (_, n) => event('order.placed', { aggregateId: `${n}`, payload: {} }))
    const expectCheap = async (when: string) => {
      await own.db.transaction((tx) => pgOutbox({ db: own.db, engine, notify: 'off' }).enqueue(tx, batch))
      await outbox.poll({ holder })
      const lent = await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
      await outbox.settle({ leases, settlements: lent.map((entry) => ({ entry, outcome: 'published' })) })
      expect(lent.length, when).toBeGreaterThan(100)
      expect(read.length, when).toBeGreaterThan(3)
      expect(Math.max(...read.splice(0)), when).toBeLessThan(waitingCount / 10)
    }
    await sql('analyze')
    await sql(`
      insert into outbox_aggregates (partition, aggregate_type, aggregate_id, waiting_until, parkings)
      select n % 32, 'order', 'waiting ' || n, now() + interval '1 hour', 1 from generate_series(1, ${waitingCount}) n`)
    await sql(`
      insert into outbox_entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state)
      select gen_random_uuid(), partition, aggregate_type, aggregate_id, 'order.placed', 1, '{}', 'parked'
      from outbox_aggregates`)
    await expectCheap('the planner knows of none')
    await sql('analyze')
    await expectCheap('the planner knows of all')
    for (const table of ['entries', 'aggregates'])
      await sql(`update outbox_${table} set partition = 63 where aggregate_id = 'waiting 7'`)
    await expectCheap('one waits in an own partition')
    await sql('update outbox_aggregates set waiting_until = now() where partition = 63')
    await expectCheap('one is due in an own partition')
  })
})
