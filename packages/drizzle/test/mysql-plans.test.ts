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
      await tables.pool.query(`analyze table ${kinds.map((table) => `outbox_${table}`).join(', ')}`)
      if (since < before) await emptied(tables.pool)
      await tables.fill(since, 4 * before)
      const leases = await joined(tables.outbox)
      for (const [name, call] of calls) {
        const due = await lent(tables.outbox, leases)
        expect(due, name).toHaveLength(20)
        expect(await tables.readsOf(() => call(tables, due)), name).toBeLessThan(many / 2)
      }
    })

    async function opened() {
      const database = await ownDatabase(server)
      // one connection: the server counts by session what it reads
      const { db, pool, ...own } = openMysql(database.url, { connectionLimit: 1 })
      await setup(db)
      const place = async (
        count: number,
        {
          state = 'pending',
          place = 'scanned',
          from = 0,
        }: Partial<Record<'state' | 'place', string>> & { from?: number } = {},
      ): Promise<void> => {
        if (count === 0) return
        const rows = Array.from({ length: count }, (_, index) => {
          const n = from + index + 1
          return `(unhex('${n.toString(16).padStart(32, '0')}'), ${n % 4}, 'order', '${n}', 'order.placed', ${n}, '{}', '${state}', '${place}', '', '')`
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
      return { db, pool, outbox, place, represent, fill, readsOf, [Symbol.asyncDispose]: close }
    }
  })
}

const kinds = ['entries', 'sequences', 'aggregates', 'relays', 'leases', 'meta']

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
