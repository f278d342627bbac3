import { type DueEntry, partitionOf, type Settlement } from '@outbox/core'
import { type PgOutbox, pgOutbox } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { openNodePostgres, ownDatabase, sessionsWaiting } from './pg-databases.ts'
import { explaining, nodesOf, type PlanNode } from './pg-explaining.ts'
import { beginOn, type HandRelay, handRelay, insideOf, openLog, published, refused } from './pg-log-relay.ts'
import { clockAhead, watching } from './pg-watching.ts'

const order = (aggregateId: string, payload: unknown = {}) => ({ type: 'order.placed', aggregateId, payload })
/** of one partition */
const [hot, other] = ['hot', neighboursOf('hot', 1)[0] ?? 'nobody']

describeWith('postgres', 'a log keeps nobody waiting for', () => {
  let database: TestDatabase
  let log: Awaited<ReturnType<typeof openLog>>
  let outbox: PgOutbox
  let relay: HandRelay
  const clients: Client[] = []

  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())
  beforeEach(async () => {
    log = await openLog(database.url, { schema: `check ${crypto.randomUUID()}` })
    outbox = log.outbox
    await commit(order('first'))
    relay = await handRelay(outbox)
    await relay.drain()
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.end()
    await log[Symbol.asyncDispose]()
  })

  const commit = (...events: Parameters<PgOutbox['enqueue']>[1][]) =>
    log.db.transaction((tx) => outbox.enqueue(tx, events.flat()))
  async function begin() {
    const begun = await beginOn(database.url, outbox)
    clients.push(begun.client)
    return begun
  }
  /** Fetches and settles until one like this is lent. @returns how many batches it took, at most `most` */
  async function batchesUntil(
    isMeant: (entry: DueEntry) => boolean,
    request: Parameters<HandRelay['fetch']>[0],
    most: number,
  ) {
    for (let batches = 1; batches <= most; batches++) {
      const batch = await relay.fetch(request)
      await relay.settle(batch.map(published))
      if (batch.some(isMeant)) return batches
    }
    return Infinity
  }

  test('a long backlog of one aggregate, though it was there before them', async () => {
    await commit(Array.from({ length: 2_000 }, () => order(hot)))
    const request = { limit: 100, limitPerAggregate: 20 }
    await relay.settle((await relay.fetch(request)).map(published)) // the window is open
    await commit(order(other))
    expect(await batchesUntil(({ aggregateId }) => aggregateId === other, request, 20)).toBeLessThanOrEqual(12)
    const rest = await relay.drain(request)
    const sequences = rest.filter(({ aggregateId }) => aggregateId === hot).map(({ sequence }) => sequence)
    expect(sequences.at(-1)).toBe(2_000)
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b))
  })

  test.each([
    ['fills batches by their bytes', { maxBytes: 2_500 }, 1_000],
    ['fills batches of one', { limit: 1 }, 10],
    ['is there, though what stands aside is larger than a batch may be', { maxBytes: 500 }, 10],
  ])('a log that %s, if something stands aside and is due', async (_, request, bytes) => {
    await commit(order('refused', 'x'.repeat(1_000)))
    const [first] = await relay.fetch()
    await relay.settle(first ? [refused(first)] : [])
    await commit(Array.from({ length: 50 }, (_, n) => order(`other-${n}`, 'x'.repeat(bytes))))
    expect(await batchesUntil(({ aggregateId }) => aggregateId === 'refused', request, 60)).toBeLessThanOrEqual(3)
    expect(await relay.drain(request)).not.toHaveLength(0)
    expect((await outbox.stats()).pending).toBe(0)
  })

  test('a partition with more than is read at once, however large the batch that is asked for', async () => {
    const { client } = await begin()
    await client.query(`
      insert into "${log.schema}".outbox_log (slot, xid, id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
      select 0, pg_current_xact_id(), gen_random_uuid(), 7, 'order', 'mine ' || n % 200, 'order.placed', n, '{}'
      from generate_series(1, 12000) n`)
    await client.query('commit')
    const all = await relay.drain({ limit: 50_000, limitPerAggregate: 100 })
    expect(all).toHaveLength(12_000)
  })

  test('a log that fills the batches of every lane of a relay', async () => {
    await commit(order('refused', 'x'.repeat(1_000)))
    const [first] = await relay.fetch()
    if (!first) throw new Error('nothing was lent')
    await relay.settle([refused(first)])
    await commit(Array.from({ length: 1_000 }, (_, n) => order(`other-${n}`, 'x'.repeat(1_000))))
    const lane = (nth: number) => relay.leases.filter(({ partition }) => partition % 4 === nth)
    const own = partitionOf('order', 'refused') % 4
    let rounds = 0
    for (let isLent = false; !isLent; rounds++) {
      expect(rounds).toBeLessThan(4)
      for (const nth of [own, (own + 1) % 4, (own + 2) % 4]) {
        const leases = lane(nth)
        const batch = await outbox.fetch({ leases, limit: 100, limitPerAggregate: 100, maxBytes: 20_300 })
        await outbox.settle({ leases, settlements: batch.map(published) })
        isLent ||= batch.some(({ aggregateId }) => aggregateId === 'refused')
      }
    }
  })

  test('rows whose dead letters were discarded: a retry that falls due after them', async () => {
    await commit(neighboursOf(hot, 1_100).map((id) => order(id)))
    await relay.settle((await relay.fetch({ limit: 2_000 })).map(blocking))
    expect(await outbox.deadLetters.discardAll({})).toBe(1_100)
    await commit(order(hot))
    await relay.settle((await relay.fetch()).map((entry) => refused(entry)))

    expect((await outbox.poll({ holder: relay.holder })).duePartitions).toEqual([partitionOf('order', hot)])
    using _ = vi.spyOn(performance, 'now').mockReturnValue(0) // however long it takes here
    expect(await relay.fetch()).toMatchObject([{ aggregateId: hot }])
  })

  test('the backlog of a blocked aggregate, nor does it keep a fetch for long', async () => {
    await commit(order(hot))
    await relay.settle((await relay.fetch()).map(blocking))
    await commit(Array.from({ length: 12_000 }, () => order(hot)))
    await commit(order(other))
    let statements = 0
    // each takes a bit more than a quarter of the time in which a fetch looks on
    using _ = clockAhead(() => statements * 600)
    const client = watching(log.db.$client, async () => {
      statements += 1
    })
    const slow = pgOutbox({ db: drizzle({ client }), engine: 'log', notify: 'off', schema: schemaOf(log) })
    const statementsOfCalls: number[] = []
    let lent: readonly DueEntry[] = []
    while (lent.length === 0) {
      expect((await outbox.poll({ holder: relay.holder })).duePartitions).toEqual([partitionOf('order', hot)])
      const before = statements
      lent = await slow.fetch({ leases: relay.leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
      statementsOfCalls.push(statements - before)
    }
    expect(lent).toMatchObject([{ aggregateId: other }])
    expect(statementsOfCalls.length).toBeGreaterThan(1)
    expect(Math.max(...statementsOfCalls.slice(0, -1))).toBeLessThanOrEqual(6)
  })

  test('a relay that left while a fetch of its own still ran: nobody takes it for a crash', async () => {
    await commit(order('a'))
    // a fetch whose caller has given it up still holds the leases' rows
    const { client } = await begin()
    const inside = insideOf(client, schemaOf(log))
    await inside.fetch({ leases: relay.leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 })
    const left = relay.leave()
    await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the release to wait' })
    await client.query('commit')
    await left
    const heir = await handRelay(outbox)
    expect(await heir.fetch()).toMatchObject([{ aggregateId: 'a', crashes: 0 }])
  })

  test('a large transaction that was open for long: what it wrote is read once', async () => {
    const large = await begin()
    await commit(Array.from({ length: 64 }, (_, n) => order(`small-${n}`)))
    await relay.drain()
    const count = 20_000
    for (let n = 0; n < count; n += 2_000) {
      await large.enqueue(Array.from({ length: 2_000 }, (_, index) => order(`large-${(n + index) % 5_000}`)))
    }
    await large.client.query('commit')
    await log.db.$client.query('vacuum analyze')
    expect(
      await rowsRead((store) =>
        store.fetch({ leases: relay.leases, limit: 500, limitPerAggregate: 500, maxBytes: 1e8 }),
      ),
    ).toBeLessThan(10_000)
    await relay.settle((await relay.fetch()).map(published))
    expect(await relay.drain()).toHaveLength(count - 500)
    expect(await rowsRead((store) => store.poll({ holder: relay.holder }))).toBeLessThan(5_000)
  })

  /** Of the log, and of the tables beside it. */
  async function rowsRead(call: (store: PgOutbox) => Promise<unknown>): Promise<number> {
    const plans: PlanNode[] = []
    const client = explaining(log.db.$client, (plan) => plans.push(plan))
    await call(pgOutbox({ db: drizzle({ client }), engine: 'log', notify: 'off', schema: schemaOf(log) }))
    const readBy = (plan: PlanNode): number =>
      nodesOf(plan)
        .filter((node) => /_log_\d|_entries/.test(node['Relation Name'] ?? ''))
        .reduce(
          (sum, node) => sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
          0,
        )
    return Math.max(...plans.map(readBy))
  }

  test('a relay with the mark engine that does not see what an open transaction writes: it is told', async () => {
    const mark = pgOutbox({ db: log.db, notify: 'off', schema: schemaOf(log) })
    await mark.check()
    const open = await begin()
    await open.enqueue(order('a'))
    await expect(mark.check()).rejects.toMatchObject({
      code: 'setup-required',
      message: expect.stringContaining('or will when a transaction ends that is open'),
    })
    await open.client.query('rollback')
    await mark.check()
  })

  test('a relay with the mark engine is told of what is committed while it looks', async () => {
    const schema = schemaOf(log)
    const gate = (await begin()).client
    await gate.query(`select pg_advisory_lock(42)`)
    // whoever looks at rows of the log waits at the gate
    await log.db.$client.query(`
      create function "${schema}".pg_visible_in_snapshot(xid xid8, snapshot pg_snapshot) returns boolean
      language plpgsql as $$ begin
        perform pg_advisory_xact_lock_shared(42);
        return pg_catalog.pg_visible_in_snapshot(xid, snapshot);
      end $$`)
    const url = new URL(database.url)
    url.searchParams.set('options', `-c search_path="${schema.replaceAll(' ', '\\ ')}",pg_catalog`)
    await using own = openNodePostgres(url.href)
    const mark = pgOutbox({ db: own.db, notify: 'off', schema })
    const open = await begin()
    await open.enqueue(order('a'))
    let isTold = false
    const check = mark.check().finally(() => {
      isTold = true
    })
    const told = expect(check).rejects.toMatchObject({ code: 'setup-required' })
    await waitFor(async () => isTold || (await sessionsWaiting(database)) > 0, { what: 'it to look, or to tell' })
    await open.client.query('commit')
    await gate.query(`select pg_advisory_unlock(42)`)
    await told
  })
})

function schemaOf({ schema }: { readonly schema?: string }): string {
  if (schema === undefined) throw new Error('the log has no schema of its own')
  return schema
}

/** Of its partition. */
function neighboursOf(id: string, count: number): readonly string[] {
  const partition = partitionOf('order', id)
  const candidates = Array.from({ length: 100 * (count + 10) }, (_, n) => `neighbour-${n}`)
  return candidates.filter((candidate) => partitionOf('order', candidate) === partition).slice(0, count)
}

function blocking(entry: DueEntry): Settlement {
  return { entry, outcome: 'dead', reason: 'poison', blocksAggregate: true }
}
