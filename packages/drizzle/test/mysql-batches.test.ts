import type { DueEntry, Lease, Settlement } from '@outbox/core'
import { type MysqlOutbox, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import type { PoolOptions } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { emptied, type Opened, openMysql, ownDatabase, servers, type TestDb } from './mysql-databases.ts'

/** What `affectedRows` counts: the rows that a statement found, as mysql2 has it by default, or those that it changed. */
const countings: readonly (readonly [string, PoolOptions])[] = [
  ['found', {}],
  ['changed', { flags: ['-FOUND_ROWS'] }],
]

for (const [title, server] of servers) {
  describeWith(server, `batches on ${title}`, () => {
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
      leases = await joined('h')
    })

    test.each(countings)(
      'a fetch is three statements and a settle is one, where rows %s are counted',
      async (_, options) => {
        await using other = openMysql(database.url, options)
        const query = vi.spyOn(other.pool, 'query')
        const store = mysqlOutbox({ db: other.db })
        await place(200)
        const due = await fetch({ limit: 50 }, store)
        expect(due).toHaveLength(50)
        expect(query).toHaveBeenCalledTimes(3)
        const used = leases.filter((lease) => due.some((entry) => entry.lease.partition === lease.partition))
        expect(await store.settle({ leases: used, settlements: due.map(published) })).toEqual({ lost: [] })
        expect(query).toHaveBeenCalledTimes(4)
        expect(await outbox.stats()).toMatchObject({ pending: 150 })
      },
    )

    test('a settle says nothing of a lease that is lost, and all of the others', async () => {
      await place(20)
      const due = await fetch()
      const lost =
        leases.find(({ partition }) => partition === due[0]?.lease.partition) ?? expect.fail('nothing was lent')
      await outbox.join({ holder: 'new' })
      await outbox.acquire({ holder: 'new', claims: [], evict: [{ holder: 'h', beat: 1 }] })
      await outbox.acquire({ holder: 'new', claims: [lost], evict: [] })
      expect(await outbox.settle({ leases, settlements: due.map(published) })).toEqual({ lost: [lost] })
      const left = due.filter(({ lease }) => lease.partition === lost.partition)
      expect(await outbox.stats()).toMatchObject({ pending: left.length })
    })

    test('a settle clears the notes of leases about whose entries it says nothing', async () => {
      await place(20)
      await fetch()
      expect(await outbox.settle({ leases, settlements: [] })).toEqual({ lost: [] })
      leases = await joined('next', { holder: 'h', beat: 1 })
      expect(await fetch()).toMatchObject(Array.from({ length: 20 }, () => ({ crashes: 0 })))
    })

    test('what nobody has settled was in the hands of the relay that died', async () => {
      await place(20)
      const [first, ...others] = await fetch()
      await outbox.settle({ leases: first ? [first.lease] : [], settlements: first ? [published(first)] : [] })
      leases = await joined('next', { holder: 'h', beat: 1 })
      const elsewhere = others.filter(({ lease }) => lease.partition !== first?.lease.partition)
      const crashed = (await fetch()).filter(({ crashes }) => crashes === 1)
      expect(crashed.map(({ id }) => id).sort()).toEqual(elsewhere.map(({ id }) => id).sort())
    })

    test('an id that is none, and an attempt that was not made, settle nothing', async () => {
      await place(3)
      const [first, second, third] = await fetch()
      if (!first || !second || !third) expect.fail('too few were lent')
      const settlements = [
        { ...first, id: `' or 1 = 1 -- ` },
        { ...second, attempt: 2 },
        { ...third, attempt: 0 },
      ]
      expect(await outbox.settle({ leases, settlements: settlements.map(published) })).toEqual({ lost: [] })
      expect(await outbox.stats()).toMatchObject({ pending: 3 })
    })

    test('nothing overtakes a suspect of its aggregate, wherever that stands', async () => {
      await place(3, () => 'one')
      const due = await fetch()
      await own.pool.query(`update outbox_entries set place = 'suspect', crashes = 2 where sequence = 2`)
      expect((await fetch()).map(({ sequence }) => sequence)).toEqual([1])
      await outbox.settle({ leases, settlements: due.slice(0, 1).map(published) })
      expect((await fetch()).map(({ sequence }) => sequence)).toEqual([2])
    })

    test('where callers number, the order of numbers counts, and not that of writing', async () => {
      for (let sequence = 300; sequence > 0; sequence--) await numbered(sequence)
      const sequences: number[] = []
      for (let batch = await fetch({ limit: 20 }); batch.length > 0; batch = await fetch({ limit: 20 })) {
        sequences.push(...batch.map(({ sequence }) => sequence))
        await outbox.settle({ leases, settlements: batch.map(published) })
      }
      expect(sequences).toEqual(Array.from({ length: 300 }, (_, index) => index + 1))
    })

    test('payloads of all sizes are lent whole, as many bytes of them as a batch may have', async () => {
      const note = 'é'.repeat(5000)
      await own.db.transaction((tx) =>
        outbox.enqueue(
          tx,
          Array.from({ length: 30 }, (_, n) => placed(`a-${n}`, n % 2 === 0 ? { note } : {})),
        ),
      )
      const due = await fetch({ limit: 30, maxBytes: 60_000 })
      const bytes = due.map(({ payload }) => Buffer.byteLength(payload))
      expect(Math.max(...bytes)).toBe(Buffer.byteLength(JSON.stringify({ note })))
      expect(bytes.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(60_000)
      const all = await fetch({ limit: 30 })
      expect(all.filter(({ payload }) => payload === JSON.stringify({ note }))).toHaveLength(15)
    })

    async function joined(holder: string, ...evict: readonly { readonly holder: string; readonly beat: number }[]) {
      await outbox.join({ holder })
      const { leases: claims } = await outbox.poll({ holder })
      return outbox.acquire({ holder, claims, evict })
    }

    function place(count: number, aggregateOf: (n: number) => string = (n) => `a-${n % 100}`): Promise<unknown> {
      const batch = Array.from({ length: count }, (_, n) => placed(aggregateOf(n)))
      return own.db.transaction((tx) => outbox.enqueue(tx, batch))
    }

    function numbered(sequence: number): Promise<unknown> {
      return own.db.transaction((tx) =>
        outbox.enqueue(tx, { type: 'ledger.booked', aggregateId: '1', payload: {}, sequence }),
      )
    }

    function fetch(
      request: { readonly limit?: number; readonly maxBytes?: number } = {},
      store: MysqlOutbox = outbox,
    ): Promise<readonly DueEntry[]> {
      return store.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9, ...request })
    }
  })
}

function placed(aggregateId: string, payload: { readonly note?: string } = {}) {
  return { type: 'order.placed', aggregateId, payload }
}

function published(entry: DueEntry): Settlement {
  return { entry, outcome: 'published' }
}
