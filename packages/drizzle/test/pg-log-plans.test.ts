import { partitionOf } from '@outbox/core'
import { pgOutbox } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ownDatabase } from './pg-databases.ts'
import { explaining, nodesOf, type PlanNode } from './pg-explaining.ts'
import { type HandRelay, handRelay, openLog, published, refused } from './pg-log-relay.ts'
import { watching } from './pg-watching.ts'

const keptCount = 200_000
const pendingCount = 100_000
const oldTransactions = 600
/** What a call may read of the log and beside it: some times what it is asked for, and nothing that grows with them. */
const mostRowsRead = 30_000

describeWith('postgres', 'plans on a log of two hundred thousand entries, and a backlog of half as many', () => {
  let database: TestDatabase
  let log: Awaited<ReturnType<typeof openLog>>
  let relay: HandRelay
  let straggler: Client
  let plans: PlanNode[] = []
  let compiled = 0

  beforeAll(async () => {
    database = await ownDatabase()
    log = await openLog(database.url)
    straggler = new Client({ connectionString: database.url })
    await straggler.connect()
    await straggler.query('begin')
    await append(straggler, 'early', 1, 1000)
    // old transactions of some hundred entries each, as the log of a day has them
    await append(log.db.$client, 'kept', 1, keptCount, `(3 + n % ${oldTransactions})::text::xid8`)
    const relayOfAll = await handRelay(log.outbox)
    // all that is there is passed, but for the transaction that is still open
    await log.db.$client.query(
      'update outbox_log_cursors set since = pg_current_snapshot(), until = pg_current_snapshot(), seen = $1, next_low = $1, low = $1, high = $1',
      [keptCount + 1000],
    )
    await append(log.db.$client, 'kept', keptCount + 1, pendingCount)
    relay = relayOfAll
  })
  afterAll(async () => {
    await straggler.end()
    await log[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  const append = (
    client: Pick<Client, 'query'>,
    type: string,
    from: number,
    count: number,
    xid = 'pg_current_xact_id()',
  ) =>
    client.query(
      `insert into outbox_log (slot, xid, id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
      select 0, ${xid}, gen_random_uuid(), n % 64, $1::text, (n % 2000)::text, 'placed', n, '{}'
      from generate_series($2::int, $2::int + $3::int - 1) n`,
      [type, from, count],
    )

  describe.each(['without statistics', 'with statistics', 'when the straggler has committed'])('%s', (when) => {
    const calls = () => {
      plans = []
      compiled = 0
      const client = explaining(log.db.$client, (plan, isCompiled) => {
        plans.push(plan)
        compiled += Number(isCompiled)
      })
      const db = drizzle({ client })
      return pgOutbox({ db, engine: 'log', notify: 'off' })
    }
    beforeAll(async () => {
      if (when === 'with statistics') await log.db.$client.query('vacuum analyze')
      if (when === 'when the straggler has committed') await straggler.query('commit')
    })

    test('poll', async () => {
      expect((await calls().poll({ holder: relay.holder })).duePartitions).toHaveLength(64)
      expectCheap()
    })

    test('stats', async () => {
      expect((await calls().stats()).pending).toBeGreaterThan(pendingCount / 2)
      expectCheap(2 * pendingCount) // it counts them
    })

    test('fetch and settle, smooth and rough', async () => {
      const outbox = calls()
      const request = { leases: relay.leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 }
      const lent = await outbox.fetch(request)
      expect(lent.length).toBeGreaterThan(400)
      expectCheap()
      await outbox.settle({ leases: relay.leases, settlements: lent.map(published) })
      expectCheap()
      const next = await outbox.fetch(request)
      plans = []
      await outbox.settle({
        leases: relay.leases,
        settlements: next.map((entry, n) => (n % 50 === 0 ? refused(entry) : published(entry))),
      })
      expectCheap()
      expect((await outbox.fetch(request)).length).toBeGreaterThan(0)
      expectCheap()
      await outbox.settle({ leases: relay.leases, settlements: [] })
    })

    test('enqueue, known and new, and of a number that is late', async () => {
      const event = { type: 'order.placed', aggregateId: '7', payload: {}, id: crypto.randomUUID() }
      for (let n = 0; n < 2; n++) await log.db.transaction((tx) => log.outbox.enqueue(tx, event))
      expect((await calls().fetchUnpublished(10)).length).toBe(10)
      expectCheap()
    })
  })

  /** No scan of the whole log, no sort of a window, and no compilation, which costs a hundred times what a call does. */
  function expectCheap(mostRows = mostRowsRead): void {
    expect(plans.length).toBeGreaterThan(0)
    expect(compiled).toBe(0)
    for (const plan of plans.splice(0)) {
      const read = nodesOf(plan).flatMap((node) => {
        const rows = (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']
        const isScan = /_log_\d|_entries/.test(node['Relation Name'] ?? '')
        return (isScan && rows > mostRows) || (node['Node Type'] === 'Sort' && rows > mostRows)
          ? [{ node: `${node['Node Type']} ${node['Relation Name'] ?? ''}`, rows }]
          : []
      })
      expect(read).toEqual([])
    }
  }
})

describeWith('postgres', 'a poll, after a backlog that nobody had seen before was read', () => {
  test('does not read over it again', async () => {
    await using database = await ownDatabase()
    await using log = await openLog(database.url)
    await log.db.$client.query(`
      insert into outbox_log (slot, xid, id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
      select 0, pg_current_xact_id(), gen_random_uuid(), n % 64, 'order', (n % 2000)::text, 'placed', n, '{}'
      from generate_series(1, 40000) n`)
    // a snapshot lists it, as it lists those of other databases of the server
    const open = new Client({ connectionString: database.url })
    await open.connect()
    await open.query('begin')
    await open.query('select pg_current_xact_id()')
    const relay = await handRelay(log.outbox)
    expect(await relay.fetch()).toHaveLength(500)
    // as if all of it had been fetched and settled
    await log.db.$client.query(`update outbox_log_cursors set position = high, page_end = null, in_flight = '{}'`)
    const read: number[] = []
    const client = explaining(log.db.$client, (plan) => {
      const scans = nodesOf(plan).filter((node) => /_log_\d/.test(node['Relation Name'] ?? ''))
      read.push(
        ...scans.map((node) => (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']),
      )
    })
    const outbox = pgOutbox({ db: drizzle({ client }), engine: 'log', notify: 'off' })
    expect((await outbox.poll({ holder: relay.holder })).duePartitions).toEqual([])
    expect(read.length).toBeGreaterThan(0)
    expect(read.reduce((sum, rows) => sum + rows, 0)).toBeLessThan(5_000)
    expect(await relay.fetch()).toEqual([])
    await open.end()
  })
})

describeWith('postgres', 'transactions that are open elsewhere, and have written nothing into the log', () => {
  test('are looked up once by a poll, not once for each partition', async () => {
    await using database = await ownDatabase()
    await using log = await openLog(database.url)
    const sql = (text: string) => log.db.$client.query(text)
    // of a few large transactions, so that much is expected of each
    await sql(`
      insert into outbox_log (slot, id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
      select n % 3, gen_random_uuid(), n % 64, 'order', n::text, 'placed', 1, '{}' from generate_series(1, 20000) n`)
    const relay = await handRelay(log.outbox)
    await sql(`do $$ begin for n in 1..300 loop perform pg_current_xact_id(); commit; end loop; end $$`)
    await sql(`
      update outbox_log_cursors set since = listed.snapshot, until = listed.snapshot, low = 30000, next_low = 30000, high = 30000
      from (
        select ((top - 200) || ':' || top || ':' || string_agg(xid::text, ',' order by xid))::pg_snapshot as snapshot
        from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as top) now,
          lateral generate_series(top - 200, top - 1) xid
        group by top
      ) listed`)
    for (const when of ['without statistics', 'with statistics']) {
      if (when === 'with statistics') await sql('vacuum analyze')
      const looks: number[] = []
      const client = explaining(log.db.$client, (plan, isCompiled) => {
        expect(isCompiled).toBe(false)
        const scans = nodesOf(plan).filter((node) => /_log_\d/.test(node['Relation Name'] ?? ''))
        looks.push(scans.reduce((sum, node) => sum + node['Actual Loops'], 0))
        expect(Math.max(...scans.map((node) => node['Rows Removed by Filter'] ?? 0))).toBeLessThan(100)
      })
      const outbox = pgOutbox({ db: drizzle({ client }), engine: 'log', notify: 'off' })
      expect((await outbox.poll({ holder: relay.holder })).duePartitions).toEqual([])
      expect(looks.length).toBeGreaterThan(0)
      expect(Math.max(...looks), when).toBeLessThan(2_000)
    }
  })
})

describeWith('postgres', 'plans on an empty log', () => {
  test('nothing that a relay at rest sends is compiled', async () => {
    await using database = await ownDatabase()
    await using log = await openLog(database.url)
    const { holder, leases } = await handRelay(log.outbox)
    const compiled: boolean[] = []
    const db = drizzle({ client: explaining(log.db.$client, (_, isCompiled) => compiled.push(isCompiled)) })
    const outbox = pgOutbox({ db, engine: 'log', notify: 'off' })
    await outbox.poll({ holder })
    await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
    await outbox.settle({ leases, settlements: [] })
    await outbox.stats()
    expect(compiled.length).toBeGreaterThanOrEqual(4)
    expect(compiled).not.toContain(true)
  })
})

describeWith('postgres', 'bursts of few aggregates', () => {
  test('are fetched by the short statement, but for one fetch in eleven', async () => {
    await using database = await ownDatabase()
    await using log = await openLog(database.url)
    // some fifteen of each aggregate, next to each other: two or three of them fill the front of a partition
    const burst = Array.from({ length: 15_000 }, (_, n) => ({
      type: 'order.changed',
      aggregateId: String(Math.floor(n / 15)),
      payload: {},
    }))
    await log.db.transaction((tx) => log.outbox.enqueue(tx, burst))
    const { leases } = await handRelay(log.outbox)
    let statements = 0
    const client = watching(log.db.$client, async () => {
      statements += 1
    })
    const outbox = pgOutbox({ db: drizzle({ client }), engine: 'log', notify: 'off' })
    const perFetch: number[] = []
    for (let fetch = 0; fetch < 22; fetch++) {
      statements = 0
      const lent = await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
      expect(lent.length).toBeGreaterThan(400)
      perFetch.push(statements)
      await outbox.settle({ leases, settlements: lent.map(published) })
    }
    // before it opens its window, the first notes what is seen
    expect(perFetch).toEqual([3, ...Array.from({ length: 21 }, (_, n) => (n === 10 ? 2 : 1))])
  })
})

describeWith('postgres', 'a backlog of which few partitions have most', () => {
  test('fills batches by the short statement, which is asked twice only once', async () => {
    await using database = await ownDatabase()
    await using log = await openLog(database.url)
    const { leases } = await fillTwoPartitions(log)
    const sent: (string | undefined)[] = []
    const client = watching(log.db.$client, async ({ name }) => void sent.push(name?.replace(/^outbox_[^_]+_/, '')))
    const outbox = pgOutbox({ db: drizzle({ client }), engine: 'log', notify: 'off' })
    const statements = async () => {
      const lent = await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
      expect(lent).toHaveLength(500)
      const names = sent.splice(0)
      await outbox.settle({ leases, settlements: lent.map(published) })
      sent.length = 0
      return names
    }
    await statements() // opens the windows, too
    expect(await statements()).toEqual(['fetch_smooth'])
    expect(await statements()).toEqual(['fetch_smooth'])
  })

  test('makes a small batch after large ones read no deeper than itself', async () => {
    await using database = await ownDatabase()
    await using log = await openLog(database.url)
    const { leases } = await fillTwoPartitions(log)
    let plans: PlanNode[] = []
    const db = drizzle({ client: explaining(log.db.$client, (plan) => plans.push(plan)) })
    const outbox = pgOutbox({ db, engine: 'log', notify: 'off' })
    for (const limit of [500, 500, 1]) {
      plans = []
      const lent = await outbox.fetch({ leases, limit, limitPerAggregate: 100, maxBytes: 1e9 })
      expect(lent).toHaveLength(limit)
      await outbox.settle({ leases, settlements: lent.map(published) })
    }
    const scans = plans.flatMap(nodesOf).filter((node) => /_log_\d/.test(node['Relation Name'] ?? ''))
    expect(Math.max(...scans.map((node) => node['Actual Rows'] * node['Actual Loops']))).toBeLessThan(20)
  })
})

/** @returns a relay that holds all leases; what is due, three entries of each aggregate, is in two partitions */
async function fillTwoPartitions(log: Awaited<ReturnType<typeof openLog>>): Promise<HandRelay> {
  const ids = Array.from({ length: 20_000 }, (_, n) => String(n)).filter((id) => partitionOf('order', id) < 2)
  const events = ids.map((aggregateId) => ({ type: 'order.changed', aggregateId, payload: {} }))
  for (let n = 0; n < 3; n++) await log.db.transaction((tx) => log.outbox.enqueue(tx, events))
  return handRelay(log.outbox)
}
