import type { DueEntry, Lease, Settlement } from '@outbox/core'
import { type MysqlOutbox, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith } from '@outbox/services'
import { expect, test } from 'vitest'
import { emptied, openMysql, ownDatabase, rowsOf, servers, type TestDb } from './mysql-databases.ts'

/** More of a kind than anything has to read that is about a few. */
const many = 5_000

for (const [title, server] of servers) {
  describeWith(server, `plans on ${title}`, () => {
    test('a fetch reads no more of the aggregates that are due than it may lend', async () => {
      await using tables = await opened()
      await tables.place(many, { place: 'parked' })
      await tables.represent('utc_timestamp(6)')
      const leases = await joined(tables.outbox)
      expect(await tables.readsOf(async () => expect(await lent(tables.outbox, leases)).toHaveLength(20))).toBeLessThan(
        many / 2,
      )
    })

    test('a poll reads no more of a backlog that waits than a window of it', async () => {
      await using tables = await opened()
      await tables.place(many)
      await tables.represent('utc_timestamp(6) + interval 1 hour')
      await joined(tables.outbox)
      const reads = await tables.readsOf(async () => expect(await dueIn(tables.outbox)).toEqual([0, 1, 2, 3]))
      expect(reads).toBeLessThan(many / 2)
    })

    test('a poll reads no more rows of aggregates that nothing is left of than a window, and fetches clear them', async () => {
      await using tables = await opened()
      await tables.place(many, { state: 'discarded' })
      await tables.represent('utc_timestamp(6)')
      const leases = await joined(tables.outbox)
      const reads = await tables.readsOf(async () => expect(await dueIn(tables.outbox)).toEqual([0, 1, 2, 3]))
      expect(reads).toBeLessThan(many / 2)
      while ((await dueIn(tables.outbox)).length > 0) expect(await lent(tables.outbox, leases)).toEqual([])
      const [left] = await rowsOf(tables.pool, 'select count(*) as count from outbox_aggregates')
      expect(left?.['count']).toBeLessThanOrEqual(4 * 128)
    })

    test.each([
      ['empty', 0, many],
      ['nearly empty', 2, many],
      ['full', many, 50],
    ])('what a relay reads is no matter of statistics, taken while the tables were %s', async (_, before, since) => {
      await using tables = await opened()
      for (const table of kinds) await tables.pool.query(`alter table outbox_${table} stats_auto_recalc = 0`)
      await tables.fill(before)
      await tables.count()
      if (since < before) await emptied(tables.pool)
      await tables.fill(since, 4 * before)
      const leases = await joined(tables.outbox)
      for (const [name, call] of calls) {
        const due = await lent(tables.outbox, leases)
        expect(due, name).toHaveLength(20)
        expect(await tables.readsOf(() => call(tables, due)), name).toBeLessThan(many / 2)
      }
    })

    test.runIf(server === 'mysql').for(['empty', 'full'])(
      'what is read is no matter of the optimizer that the server is set to, with statistics of tables that were %s',
      async (counted, { skip }) => {
        await using tables = await opened()
        const other = `set session optimizer_switch = 'hypergraph_optimizer=on'`
        const hasOther = await tables.pool.query(other).then(
          () => true,
          () => false,
        )
        if (!hasOther) return skip('this server has one alone')
        for (const table of kinds) await tables.pool.query(`alter table outbox_${table} stats_auto_recalc = 0`)
        if (counted === 'empty') await tables.count()
        await tables.fill(many)
        if (counted === 'full') await tables.count()
        const leases = await joined(tables.outbox)
        for (const [name, call] of calls) {
          const due = await lent(tables.outbox, leases)
          expect(due, name).toHaveLength(20)
          expect(await tables.readsOf(() => call(tables, due)), name).toBeLessThan(many / 2)
        }
      },
    )

    test.each([1, 7])(
      'of a backlog that callers number, every %sth number, no more is read than is lent',
      async (step) => {
        await using tables = await opened()
        await tables.pool.query(`insert into outbox_meta (\`key\`, value) values ('sequence-source:order', 'caller')`)
        await tables.place(many, { of: 'busy', step })
        const [lease] = await joined(tables.outbox)
        const reads = await tables.readsOf(async () => {
          const busy = await lent(tables.outbox, lease ? [lease] : [])
          expect(busy.map(({ sequence }) => sequence)).toEqual(
            Array.from({ length: 10 }, (_, index) => (index + 1) * step),
          )
        })
        // what stands behind it is looked for among some thousands of its entries, by one statement
        expect(reads).toBeLessThan(3 * many)
      },
    )

    test('what callers number is looked after once for each aggregate, not for each entry', async () => {
      // while an old snapshot is open, a look may have to pass all that was purged of the aggregate
      await using tables = await opened()
      await tables.place(1, { of: 'busy', step: 301, state: 'published' })
      await tables.place(300, { of: 'busy', from: 1 })
      const [lease] = await joined(tables.outbox)
      const fetch = async (): Promise<readonly DueEntry[]> =>
        tables.outbox.fetch({ leases: lease ? [lease] : [], limit: 200, limitPerAggregate: 200, maxBytes: 1e9 })
      const readsOfFetch = async (numbering: string, isLate: boolean): Promise<number> => {
        await tables.pool.query(
          `replace into outbox_meta (\`key\`, value) values ('sequence-source:order', '${numbering}')`,
        )
        return tables.readsOf(async () => {
          const lent = await fetch()
          expect(lent).toHaveLength(200)
          expect(lent.every((entry) => entry.isLate === isLate)).toBe(true)
        })
      }
      await fetch() // which notes what the next ones find noted
      const reads = await readsOfFetch('store', false)
      expect(await readsOfFetch('caller', true)).toBeLessThan(reads + 50)
    })

    test('something suspect makes no fetch read a backlog for each of its entries', async () => {
      await using tables = await opened()
      await tables.place(4, { place: 'suspect' })
      await tables.represent('utc_timestamp(6) + interval 1 hour', `'suspect'`)
      await tables.place(many, { of: 'busy', from: 4 })
      const [lease] = await joined(tables.outbox)
      const reads = await tables.readsOf(async () => {
        expect(await lent(tables.outbox, lease ? [lease] : [])).toHaveLength(10)
      })
      expect(reads).toBeLessThan(3 * many)
    })

    test('of a parked backlog no entry is read more than a few times', async () => {
      await using tables = await opened()
      await tables.place(many, { of: 'busy', place: 'parked' })
      await tables.represent('utc_timestamp(6)')
      const leases = await joined(tables.outbox)
      const reads = await tables.readsOf(async () => {
        const lent = await tables.outbox.fetch({ leases, limit: 2000, limitPerAggregate: 1500, maxBytes: 1e9 })
        expect(lent.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 1500 }, (_, index) => index + 1))
      })
      expect(reads).toBeLessThan(2 * many)
    })

    test('tables that were counted when they were empty are not read from end to end', async () => {
      await using tables = await opened()
      for (const table of kinds) await tables.pool.query(`alter table outbox_${table} stats_auto_recalc = 0`)
      await tables.count()
      await tables.place(many, { state: 'published' })
      await tables.place(many, { from: many, state: 'published' })
      await tables.represent('utc_timestamp(6) + interval 1 hour')
      await tables.place(400, { from: 2 * many })
      await tables.place(400, { from: 3 * many, state: 'dead' })
      await tables.pool.query('flush tables') // whose count the server still knows
      const leases = await joined(tables.outbox)
      for (const used of [leases.slice(0, 1), leases.slice(0, 2), leases]) {
        expect(await tables.readsOf(() => lent(tables.outbox, used))).toBeLessThan(many / 2)
      }
      expect(await tables.readsOf(() => tables.outbox.stats())).toBeLessThan(many / 2)
      expect(await tables.readsOf(() => dead(tables.outbox))).toBeLessThan(many / 2)
    })

    test('more ids than a server looks up one by one in a list are looked up one by one', async () => {
      await using tables = await opened()
      if (server === 'mariadb') {
        // a list of a thousand is a table there, and this is what was counted of the other one, for good
        await tables.place(3)
        await tables.pool.query('analyze table outbox_entries persistent for all')
        await emptied(tables.pool)
      } else await tables.pool.query('set session range_optimizer_max_mem_size = 400000')
      for (let nth = 0; nth < 4; nth++) await tables.place(many, { from: nth * many, state: 'published' })
      await tables.place(1200, { from: 4 * many })
      await tables.place(1200, { from: 5 * many, state: 'dead' })
      const leases = (await joined(tables.outbox)).slice(0, 4)
      const ids = (await tables.outbox.deadLetters.list({ limit: 1200 })).map(({ entry }) => entry.id)
      const twice = [...ids, ...ids.map((id) => id.toUpperCase())]
      const requeued = await tables.readsOf(async () =>
        expect(await tables.outbox.deadLetters.requeue(twice)).toBe(1200),
      )
      expect(requeued).toBeLessThan(3 * many)
      const events = Array.from({ length: 2000 }, (_, n) => placed(`new-${n % 5}`))
      expect(await tables.readsOf(() => tables.db.transaction((tx) => tables.outbox.enqueue(tx, events)))).toBeLessThan(
        many,
      )
      if (server === 'mysql') return // where as many are settled at once as its memory is for by default, some 36,000
      const due = await tables.outbox.fetch({ leases, limit: 1200, limitPerAggregate: 10, maxBytes: 1e9 })
      expect(due).toHaveLength(1200)
      expect(
        await tables.readsOf(() => settle(tables.outbox, due, (entry) => ({ entry, outcome: 'published' }))),
      ).toBeLessThan(2 * many)
    })

    async function opened() {
      const database = await ownDatabase(server)
      // one connection: the server counts by session what it reads
      const { db, pool, ...own } = openMysql(database.url, { connectionLimit: 1 })
      await setup(db)
      const place = async (
        count: number,
        { state = 'pending', place = 'scanned', from = 0, of, step = 1 }: Placed = {},
      ): Promise<void> => {
        if (count === 0) return
        const rows = Array.from({ length: count }, (_, index) => {
          const n = from + index + 1
          const [partition, id, sequence] = of === undefined ? [n % 4, n, n] : [0, of, (index + 1) * step]
          return `(unhex('${n.toString(16).padStart(32, '0')}'), ${partition}, 'order', '${id}', 'order.placed', ${sequence}, '{}', '${state}', '${place}', '', '')`
        })
        await pool.query(
          `insert into outbox_entries (id, \`partition\`, aggregate_type, aggregate_id, event_type, sequence, payload, state, place, reason, settled_by)
          values ${rows.join(', ')}`,
        )
      }
      /** Makes a row for the aggregate of each entry in a place. */
      const represent = (waitingUntil: string, of = `'scanned', 'parked'`): Promise<unknown> =>
        pool.query(
          `insert into outbox_aggregates (aggregate_type, aggregate_id, \`partition\`, waiting_until, parkings)
          select aggregate_type, aggregate_id, \`partition\`, ${waitingUntil}, 1 from outbox_entries where place in (${of})
          on duplicate key update parkings = outbox_aggregates.parkings`,
        )
      /** Entries of each kind, each of an aggregate of its own. */
      const fill = async (count: number, from = 0): Promise<void> => {
        await place(count, { from })
        await place(count, { from: from + count, state: 'published' })
        await place(count, { from: from + 2 * count, state: 'dead' })
        await place(count, { from: from + 3 * count, place: 'parked' })
        await represent('utc_timestamp(6)', `'parked'`)
        await pool.query(
          `insert into outbox_sequences select aggregate_type, aggregate_id, sequence from outbox_entries
          on duplicate key update outbox_sequences.last_sequence = outbox_sequences.last_sequence`,
        )
      }
      /** Has the server take its statistics. */
      const count = (): Promise<unknown> =>
        pool.query(`analyze table ${kinds.map((table) => `outbox_${table}`).join(', ')}`)
      const counted = async (): Promise<number> => {
        const rows = await rowsOf(pool, `show session status like 'Handler\\_read\\_%'`)
        return rows.reduce((sum, row) => sum + Number(row['Value']), 0)
      }
      /** How many rows, of tables or indexes, the server reads for something. */
      const readsOf = async (done: () => Promise<unknown>): Promise<number> => {
        const before = await counted()
        await done()
        return (await counted()) - before
      }
      const close = async (): Promise<void> => {
        await own[Symbol.asyncDispose]()
        await database[Symbol.asyncDispose]()
      }
      const outbox = mysqlOutbox({ db })
      return { db, pool, outbox, place, represent, fill, count, readsOf, [Symbol.asyncDispose]: close }
    }
  })
}

const kinds = ['entries', 'sequences', 'aggregates', 'relays', 'leases', 'meta']

interface Placed {
  readonly state?: string
  readonly place?: string
  /** how many there are already */
  readonly from?: number
  /** all of one aggregate, in partition 0; if left out, each is of an aggregate of its own */
  readonly of?: string
  /** between the numbers of that aggregate */
  readonly step?: number
}

interface Opened {
  readonly db: TestDb
  readonly outbox: MysqlOutbox
}

/** What a relay, an operator and a producer do, with a few entries that are lent. */
const calls: readonly (readonly [string, (opened: Opened, due: readonly DueEntry[]) => Promise<unknown>])[] = [
  ['poll', ({ outbox }) => dueIn(outbox)],
  ['fetch', ({ outbox }, due) => lent(outbox, leasesOf(due))],
  ['settle', ({ outbox }, due) => settle(outbox, due.slice(0, 5), (entry) => ({ entry, outcome: 'published' }))],
  [
    'settle as waiting',
    ({ outbox }, due) =>
      settle(outbox, due.slice(0, 5), (entry) => {
        return { entry, outcome: 'retry', retryInMs: 1e6, isRefusal: true, reason: 'refused' }
      }),
  ],
  [
    'settle as dead',
    ({ outbox }, due) =>
      settle(outbox, due.slice(0, 5), (entry) => ({ entry, outcome: 'dead', reason: 'poison', blocksAggregate: true })),
  ],
  ['markPublished', ({ outbox }, due) => outbox.markPublished(due.slice(0, 5).map(({ id }) => id))],
  ['fetchUnpublished', ({ outbox }) => outbox.fetchUnpublished(20)],
  ['purge', ({ outbox }) => outbox.purge({ olderThanMs: 0, limit: 20 })],
  ['requeue', async ({ outbox }) => outbox.deadLetters.requeue(await dead(outbox))],
  ['discard', async ({ outbox }) => outbox.deadLetters.discard(await dead(outbox))],
  [
    'enqueue',
    ({ db, outbox }, due) => {
      const [again = [], fresh] = [due.slice(0, 10), due.map(({ aggregateId }) => placed(aggregateId))]
      return db.transaction((tx) => outbox.enqueue(tx, [...again.map(({ id }) => ({ ...placed('1'), id })), ...fresh]))
    },
  ],
  ['a relay that takes over', ({ outbox }) => joined(outbox, 'next', 'h')],
]

async function joined(outbox: MysqlOutbox, holder = 'h', gone?: string): Promise<readonly Lease[]> {
  await outbox.join({ holder })
  const { leases: claims, relays } = await outbox.poll({ holder })
  return outbox.acquire({ holder, claims, evict: relays.filter((relay) => relay.holder === gone) })
}

function lent(outbox: MysqlOutbox, leases: readonly Lease[]): Promise<readonly DueEntry[]> {
  const used = leases.filter(({ partition }) => partition < 4)
  return outbox.fetch({ leases: used, limit: 20, limitPerAggregate: 10, maxBytes: 1e6 })
}

async function dueIn(outbox: MysqlOutbox): Promise<readonly number[]> {
  return (await outbox.poll({ holder: 'h' })).duePartitions
}

async function dead(outbox: MysqlOutbox): Promise<readonly string[]> {
  return (await outbox.deadLetters.list({ limit: 5 })).map(({ entry }) => entry.id)
}

function settle(
  outbox: MysqlOutbox,
  due: readonly DueEntry[],
  settlementOf: (entry: DueEntry) => Settlement,
): Promise<unknown> {
  return outbox.settle({ leases: leasesOf(due), settlements: due.map(settlementOf) })
}

function leasesOf(due: readonly DueEntry[]): readonly Lease[] {
  return [...new Map(due.map(({ lease }) => [lease.partition, lease])).values()]
}

function placed(aggregateId: string) {
  return { type: 'order.placed', aggregateId, payload: {} }
}
