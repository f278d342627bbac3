import { type DueEntry, type Lease, partitionOf, type Settlement } from '@outbox/core'
import { type MysqlOutbox, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { emptied, type Opened, openMysql, ownDatabase, rowsOf, servers, type TestDb } from './mysql-databases.ts'

for (const [title, server] of servers) {
  describeWith(server, `parked entries on ${title}`, () => {
    let database: TestDatabase
    let own: Opened<TestDb>
    let outbox: MysqlOutbox
    let leases: readonly Lease[]

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
    beforeEach(async () => {
      await emptied(own.pool)
      await outbox.join({ holder: 'h' })
      const { leases: claims } = await outbox.poll({ holder: 'h' })
      leases = await outbox.acquire({ holder: 'h', claims, evict: [] })
    })

    test('a blocked aggregate’s entries leave the scanned range once, for good, and come back in order', async () => {
      await place('blocked', 5000)
      const [head] = await fetch({ limit: 1 })
      await settle([
        { entry: head ?? expect.fail('nothing was lent'), outcome: 'dead', reason: 'poison', blocksAggregate: true },
      ])
      await place('other', 3)
      expect(await fetch()).toMatchObject([
        { aggregateId: 'other' },
        { aggregateId: 'other' },
        { aggregateId: 'other' },
      ])
      expect(await countOf('scanned', 'blocked')).toBe(0)
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

    test('rows whose dead letters were discarded hide no retry that falls due after them', async () => {
      const discarded = idsBeside('waits', 600)
      await own.db.transaction((tx) => outbox.enqueue(tx, discarded.map(placed)))
      await settle(
        (await fetch({ limit: 2000 })).map((entry) => ({ entry, outcome: 'dead', reason: '', blocksAggregate: true })),
      )
      expect(await outbox.deadLetters.discardAll({})).toBe(600)
      await place('waits', 1)
      await settle(
        (await fetch({ limit: 1 })).map((entry) => ({
          entry,
          outcome: 'retry',
          retryInMs: 0,
          isRefusal: true,
          reason: 'once',
        })),
      )
      expect((await outbox.poll({ holder: 'h' })).duePartitions).toEqual([partitionOf('order', 'waits')])
      using _ = vi.spyOn(performance, 'now').mockReturnValue(0) // however long it takes here
      expect(await fetch({ limit: 20 })).toMatchObject([{ aggregateId: 'waits' }])
    })

    test('a fetch that only clears the way for long comes back empty-handed, and the partition is due until all is', async () => {
      const [other = ''] = idsBeside('blocked', 1)
      await place('blocked', 1)
      await settle((await fetch()).map((entry) => ({ entry, outcome: 'dead', reason: '', blocksAggregate: true })))
      await place('blocked', 12_000)
      await place(other, 1)
      let calls = 0
      let lent: readonly DueEntry[] = []
      // each look at the clock takes longer than a fetch looks on
      using _ = vi.spyOn(performance, 'now').mockImplementation(() => calls++ * 2_500)
      let fetches = 0
      for (; lent.length === 0; fetches++) {
        expect((await outbox.poll({ holder: 'h' })).duePartitions).toEqual([partitionOf('order', other)])
        lent = await fetch()
      }
      expect(lent).toMatchObject([{ aggregateId: other }])
      expect(fetches).toBeGreaterThan(2)
    })

    test('new entries of a blocked aggregate are parked too, and the partition says it has nothing due', async () => {
      await place('blocked', 1)
      await settle((await fetch()).map((entry) => ({ entry, outcome: 'dead', reason: '', blocksAggregate: true })))
      await place('blocked', 1200)
      expect(await fetch()).toEqual([])
      expect(await countOf('parked', 'blocked')).toBe(1200)
      expect((await outbox.poll({ holder: 'h' })).duePartitions).toEqual([])
    })

    test('whatever relays, operators and producers do at once, no entry is parked without a row, and all come through', async () => {
      const random = seeded(20_261_124)
      const lanes = [0, 1, 2, 3].map((lane) => leases.filter(({ partition }) => partition % 4 === lane))
      let produced = 0
      const producer = async (): Promise<void> => {
        for (let n = 0; n < 25; n++) {
          const size = 1 + Math.floor(random() * 60)
          const batch = Array.from({ length: size }, () => placed(`a-${Math.floor(random() * 30)}`))
          await own.db.transaction((tx) => outbox.enqueue(tx, batch))
          produced += size
        }
      }
      const lane = async (held: readonly Lease[]): Promise<void> => {
        for (let n = 0; n < 30; n++) {
          const limit = 1 + Math.floor(random() * 80)
          const batch = await fetch({ leases: held, limit, limitPerAggregate: 10 })
          await settle(untilFailure(batch, random), held)
        }
      }
      const operator = async (): Promise<void> => {
        for (let n = 0; n < 30; n++) {
          const dead = await outbox.deadLetters.list({ limit: 20 })
          await outbox.deadLetters.requeue(dead.map(({ entry }) => entry.id))
          expect(await strays()).toEqual([])
        }
      }
      await Promise.all([producer(), producer(), ...lanes.map(lane), operator()])

      const first = await outbox.deadLetters.list({ limit: 10_000 })
      await outbox.deadLetters.requeue(first.map(({ entry }) => entry.id))
      expect(await rowsOf(own.pool, 'select * from outbox_aggregates where blockers > 0')).toEqual([])
      await own.pool.query('update outbox_aggregates set waiting_until = utc_timestamp(6)')
      for (let batch = await fetch(); batch.length > 0; batch = await fetch()) await settle(batch.map(published))
      expect(await outbox.stats()).toEqual({ pending: 0, dead: 0, oldestPendingAgeMs: null, partitions: [] })
      const done = await rowsOf(own.pool, `select count(*) as count from outbox_entries where state = 'published'`)
      expect(done).toEqual([{ count: produced }])
      expect(produced).toBeGreaterThan(1000)
      expect(await aggregates()).toEqual([])
    })

    function place(aggregateId: string, count: number): Promise<unknown> {
      const batch = Array.from({ length: count }, () => placed(aggregateId))
      return own.db.transaction((tx) => outbox.enqueue(tx, batch))
    }

    function fetch(request: { limit?: number; limitPerAggregate?: number; leases?: readonly Lease[] } = {}) {
      return outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9, ...request })
    }

    async function settle(settlements: readonly Settlement[], held: readonly Lease[] = leases): Promise<void> {
      expect(await outbox.settle({ leases: held, settlements })).toEqual({ lost: [] })
    }

    async function countOf(wanted: string, aggregateId: string): Promise<unknown> {
      const [rows] = await rowsOf(
        own.pool,
        `select count(*) as count from outbox_entries
        where state = 'pending' and place = '${wanted}' and aggregate_id = '${aggregateId}'`,
      )
      return rows?.['count']
    }

    function aggregates() {
      return rowsOf(own.pool, 'select aggregate_id, parkings, blockers from outbox_aggregates')
    }

    function strays() {
      return rowsOf(
        own.pool,
        `select position from outbox_entries e
        where state = 'pending' and place = 'parked' and not exists (
          select 1 from outbox_aggregates a where a.aggregate_type = e.aggregate_type and a.aggregate_id = e.aggregate_id)`,
      )
    }
  })
}

function placed(aggregateId: string) {
  return { type: 'order.placed', aggregateId, payload: {} }
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

/** Ids of other aggregates in the same partition. */
function idsBeside(aggregateId: string, count: number): readonly string[] {
  const ids: string[] = []
  for (let n = 0; ids.length < count; n++) {
    if (partitionOf('order', `beside-${n}`) === partitionOf('order', aggregateId)) ids.push(`beside-${n}`)
  }
  return ids
}
