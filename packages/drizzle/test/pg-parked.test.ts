import { type DueEntry, type Lease, partitionOf, type Settlement } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ownDatabase, sessionsWaiting } from './pg-databases.ts'
import { clockAhead, watching } from './pg-watching.ts'

describeWith('postgres', 'parked entries', () => {
  let database: TestDatabase
  let pool: Pool
  let db: ReturnType<typeof drizzle<Record<string, never>, Pool>>
  let outbox: PgOutbox
  let leases: readonly Lease[]

  beforeEach(async () => {
    database = await ownDatabase()
    pool = new Pool({ connectionString: database.url })
    db = drizzle({ client: pool })
    await setup(db)
    outbox = pgOutbox({ db, notify: 'off' })
    await outbox.join({ holder: 'h' })
    const { leases: claims } = await outbox.poll({ holder: 'h' })
    leases = await outbox.acquire({ holder: 'h', claims, evict: [] })
  })
  afterEach(async () => {
    await pool.end()
    await database[Symbol.asyncDispose]()
  })

  test('a blocked aggregate’s entries leave the scanned range once, for good, and come back in order', async () => {
    await place('blocked', 5000)
    const [head] = await fetch({ limit: 1 })
    await settle([
      { entry: head ?? expect.fail('nothing was lent'), outcome: 'dead', reason: 'poison', blocksAggregate: true },
    ])
    await place('other', 3)
    expect(await fetch()).toMatchObject([{ aggregateId: 'other' }, { aggregateId: 'other' }, { aggregateId: 'other' }])
    expect(await countOf('pending', 'blocked')).toBe(0)
    expect(await countOf('parked', 'blocked')).toBe(4999)
    // what parked them raised the row's count; nothing has to be parked again
    const [before] = await aggregates()
    expect(await fetch()).toHaveLength(3)
    expect(await aggregates()).toEqual([before])
    await settle((await fetch()).map(published))
    expect((await outbox.poll({ holder: 'h' })).duePartitions).toEqual([])

    await outbox.deadLetters.requeue([head?.id ?? ''])
    const sequences: number[] = []
    for (let batch = await fetch(); batch.length > 0; batch = await fetch()) {
      sequences.push(...batch.map(({ sequence }) => sequence))
      await settle(batch.map(published))
    }
    expect(sequences).toEqual(Array.from({ length: 5000 }, (_, index) => index + 1))
    expect(await aggregates()).toEqual([])
  })

  test('new entries of a blocked aggregate are parked too, and the partition says it has nothing due', async () => {
    await place('blocked', 1)
    await settle((await fetch()).map((entry) => ({ entry, outcome: 'dead', reason: '', blocksAggregate: true })))
    await place('blocked', 1200)
    expect(await fetch()).toEqual([])
    expect(await countOf('parked', 'blocked')).toBe(1200)
    expect((await outbox.poll({ holder: 'h' })).duePartitions).toEqual([])
  })

  test('rows whose dead letters were discarded hide no retry that falls due after them', async () => {
    const discarded = idsBeside('waits', 1100)
    await db.transaction((tx) => outbox.enqueue(tx, discarded.map(placed)))
    await settle(
      (await fetch({ limit: 2000 })).map((entry) => ({ entry, outcome: 'dead', reason: '', blocksAggregate: true })),
    )
    expect(await outbox.deadLetters.discardAll({})).toBe(1100)
    await place('waits', 1)
    await settle((await fetch({ limit: 1 })).map((entry) => refused(entry)))
    expect((await aggregates()).length).toBeGreaterThan(1001)

    expect((await outbox.poll({ holder: 'h' })).duePartitions).toEqual([partitionOf('order', 'waits')])
    using _ = vi.spyOn(performance, 'now').mockReturnValue(0) // however long it takes here
    expect(await fetch()).toMatchObject([{ aggregateId: 'waits' }])
  })

  test('a fetch that only clears the way for long comes back empty-handed, and the partition is due until all is', async () => {
    const [other = ''] = idsBeside('blocked', 1)
    await place('blocked', 1)
    await settle((await fetch()).map((entry) => ({ entry, outcome: 'dead', reason: '', blocksAggregate: true })))
    await place('blocked', 12_000)
    await place(other, 1)
    let statements = 0
    // each takes a bit more than half of the time in which a fetch looks on
    using _ = clockAhead(() => statements * 1_200)
    const watched = watching(pool, async () => {
      statements += 1
    })
    const slow = pgOutbox({ db: drizzle({ client: watched }), notify: 'off', prepare: false })
    const statementsOfCalls: number[] = []
    let lent: readonly DueEntry[] = []
    while (lent.length === 0) {
      expect((await outbox.poll({ holder: 'h' })).duePartitions).toEqual([partitionOf('order', other)])
      const before = statements
      lent = await slow.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
      statementsOfCalls.push(statements - before)
    }
    expect(lent).toMatchObject([{ aggregateId: other }])
    expect(statementsOfCalls.slice(0, -1)).toEqual([2, 2])
  })

  test('a row is not deleted over entries that were parked after its deleter began to read', async () => {
    await place('hot', 40)
    const [head] = await fetch({ limit: 1 })
    const entry = head ?? expect.fail('nothing was lent')
    await settle([{ entry, outcome: 'retry', retryInMs: 0, isRefusal: true, reason: 'once' }])
    const own = leases.filter(({ partition }) => partition === entry.lease.partition)
    const blocker = await pool.connect()
    await blocker.query('begin')
    await blocker.query('select from outbox_leases for update')
    // a small batch has a small window, which this aggregate fills: it parks one; a large one sees the row is of no use
    const parking = fetch({ limit: 1, leases: own })
    await waiting(1)
    const deleting = fetch({ limit: 100, leases: own })
    await waiting(2)
    await blocker.query('commit')
    blocker.release()
    expect(await parking).toHaveLength(1)
    expect(await deleting).toHaveLength(40)
    expect(await countOf('parked', 'hot')).toBe(1)
    expect(await aggregates()).toHaveLength(1)
    await settle((await fetch()).map(published))
    expect(await outbox.stats()).toMatchObject({ pending: 0 })
  })

  test('an entry that is published while a fetch is about to park it stays published', async () => {
    await place('waits', 2)
    const [head, next] = await fetch()
    const settlements = [head ?? expect.fail('nothing was lent')].map(
      (entry): Settlement => ({ entry, outcome: 'retry', retryInMs: 1e9, isRefusal: true, reason: 'not now' }),
    )
    await settle(settlements)
    const publisher = await pool.connect()
    await publisher.query('begin')
    await publisher.query(`update outbox_entries set state = 'published', settled_at = now() where id = $1`, [next?.id])
    const parking = fetch()
    await waiting(1)
    await publisher.query('commit')
    publisher.release()
    expect(await parking).toEqual([])
    expect(await countOf('published', 'waits')).toBe(1)
    expect(await countOf('parked', 'waits')).toBe(1)
  })

  test('whatever relays, operators and producers do at once, no entry is parked without a row, and all come through', async () => {
    const random = seeded(20_261_124)
    const lanes = [0, 1, 2, 3].map((lane) => leases.filter(({ partition }) => partition % 4 === lane))
    let produced = 0
    const producer = async (): Promise<void> => {
      for (let n = 0; n < 40; n++) {
        const size = 1 + Math.floor(random() * 60)
        const batch = Array.from({ length: size }, () => placed(`a-${Math.floor(random() * 30)}`))
        await db.transaction((tx) => outbox.enqueue(tx, batch))
        produced += size
      }
    }
    const lane = async (own: readonly Lease[]): Promise<void> => {
      for (let n = 0; n < 60; n++) {
        const limit = 1 + Math.floor(random() * 80)
        const batch = await fetch({ leases: own, limit, limitPerAggregate: 10 })
        await settle(untilFailure(batch, random), own)
      }
    }
    const operator = async (): Promise<void> => {
      for (let n = 0; n < 60; n++) {
        const dead = await outbox.deadLetters.list({ limit: 20 })
        await outbox.deadLetters.requeue(dead.map(({ entry }) => entry.id))
        expect(await strays()).toBe(0)
      }
    }
    await Promise.all([producer(), producer(), ...lanes.map(lane), operator()])

    const first = await outbox.deadLetters.list({ limit: 10_000 })
    await outbox.deadLetters.requeue(first.map(({ entry }) => entry.id))
    await pool.query(`update outbox_aggregates set waiting_until = now() where waiting_until < 'infinity'`)
    for (let batch = await fetch(); batch.length > 0; batch = await fetch()) await settle(batch.map(published))
    expect(await outbox.stats()).toEqual({ pending: 0, dead: 0, oldestPendingAgeMs: null, partitions: [] })
    const { rows } = await pool.query(`select count(*)::int as count from outbox_entries where state = 'published'`)
    expect(rows).toEqual([{ count: produced }])
    expect(produced).toBeGreaterThan(1000)
    expect(await aggregates()).toEqual([])
  })

  function place(aggregateId: string, count: number): Promise<unknown> {
    return db.transaction((tx) =>
      outbox.enqueue(
        tx,
        Array.from({ length: count }, () => placed(aggregateId)),
      ),
    )
  }

  function fetch(request: { limit?: number; limitPerAggregate?: number; leases?: readonly Lease[] } = {}) {
    return outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9, ...request })
  }

  async function settle(settlements: readonly Settlement[], own: readonly Lease[] = leases): Promise<void> {
    expect(await outbox.settle({ leases: own, settlements })).toEqual({ lost: [] })
  }

  async function countOf(state: string, aggregateId: string): Promise<number> {
    const text = 'select count(*)::int as count from outbox_entries where state = $1 and aggregate_id = $2'
    return (await pool.query(text, [state, aggregateId])).rows[0].count
  }

  async function aggregates(): Promise<readonly unknown[]> {
    return (await pool.query('select aggregate_id, parkings, blocked_by from outbox_aggregates')).rows
  }

  async function strays(): Promise<number> {
    const { rows } = await pool.query(`
      select count(*)::int as count from outbox_entries e
      where state = 'parked' and not exists (
        select from outbox_aggregates a where a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id)`)
    return rows[0].count
  }

  async function waiting(sessions: number): Promise<void> {
    await waitFor(async () => (await sessionsWaiting(database)) === sessions, {
      what: `${sessions} sessions to wait for a lock`,
    })
  }
})

function placed(aggregateId: string) {
  return { type: 'order.placed', aggregateId, payload: {} }
}

/** Of its partition. */
function idsBeside(aggregateId: string, count: number): readonly string[] {
  const partition = partitionOf('order', aggregateId)
  const candidates = Array.from({ length: 100 * (count + 10) }, (_, n) => `beside-${n}`)
  return candidates.filter((candidate) => partitionOf('order', candidate) === partition).slice(0, count)
}

function refused(entry: DueEntry): Settlement {
  return { entry, outcome: 'retry', retryInMs: 0, isRefusal: true, reason: 'refused' }
}

function published(entry: DueEntry): Settlement {
  return { entry, outcome: 'published' }
}

/** As a relay does: an aggregate stops at its first failure. */
function untilFailure(batch: readonly DueEntry[], random: () => number): readonly Settlement[] {
  const failed = new Set<string>()
  return batch.flatMap((entry): Settlement[] => {
    if (failed.has(entry.aggregateId)) return []
    if (random() < 0.8) return [published(entry)]
    failed.add(entry.aggregateId)
    if (random() < 0.3) return [{ entry, outcome: 'dead', reason: 'poison', blocksAggregate: random() < 0.7 }]
    return [{ entry, outcome: 'retry', retryInMs: Math.floor(random() * 20), isRefusal: true, reason: 'refused' }]
  })
}

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
