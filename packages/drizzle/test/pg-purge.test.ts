import { type PgInbox, type PgOutbox, pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ownDatabase } from './pg-databases.ts'
import { explaining, nodesOf, type PlanNode } from './pg-explaining.ts'

const settledCount = 12_000
const placed = (aggregateId: string) => ({ type: 'order.placed', aggregateId, payload: {} })

describeWith('postgres', 'purging', () => {
  let database: TestDatabase
  let pool: Pool
  let db: ReturnType<typeof drizzle<Record<string, never>, Pool>>
  let outbox: PgOutbox
  let inbox: PgInbox

  beforeEach(async () => {
    database = await ownDatabase()
    pool = new Pool({ connectionString: database.url })
    db = drizzle({ client: pool })
    await setup(db)
    await setupInbox(db)
    outbox = pgOutbox({ db, notify: 'off' })
    inbox = pgInbox({ db })
    await db.transaction((tx) => outbox.enqueue(tx, placed('first')))
    await pool.query(`
      insert into outbox_entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state, settled_at)
      select gen_random_uuid(), n % 64, 'order', n::text, 'order.placed', 1, '{}', 'published', now() - n * interval '1 hour'
      from generate_series(1, ${settledCount}) n`)
    await pool.query(`
      insert into outbox_inbox select 'billing', n::text, now() - n * interval '1 hour'
      from generate_series(1, ${settledCount}) n`)
  })
  afterEach(async () => {
    await pool.end()
    await database[Symbol.asyncDispose]()
  })

  test('waits for no open transaction that enqueues or handles, nor do these wait for it', async () => {
    await db.transaction(async (tx) => {
      await outbox.enqueue(tx, placed('first'))
      await inbox.once(tx, 'billing', 'new', () => undefined)
      expect(await outbox.purge({ olderThanMs: 0, limit: 5000 })).toBe(5000) // would hang here
      expect(await inbox.purge({ olderThanMs: 0, limit: 5000 })).toBe(5000)
      await outbox.enqueue(tx, placed('first'))
      expect(await inbox.once(tx, 'billing', `${settledCount}`, () => undefined)).toBe(true)
    })
    expect(await outbox.stats()).toMatchObject({ pending: 3 })
    expect(await db.transaction((tx) => inbox.once(tx, 'billing', 'new', () => undefined))).toBe(false)
  })

  test('waits for no row that somebody has locked: it is left for the next time', async () => {
    const client = await pool.connect()
    await client.query('begin')
    await client.query(`select from outbox_entries where aggregate_id in ('7', '8') for share`)
    expect(await outbox.purge({ olderThanMs: 0, limit: settledCount })).toBe(settledCount - 2)
    await client.query('commit')
    client.release()
    expect(await outbox.purge({ olderThanMs: 0, limit: settledCount })).toBe(2)
  })

  test('two at once delete everything between them, each row once', async () => {
    // rows that the other one is deleting count too
    const all = { olderThanMs: 0, limit: 2 * settledCount }
    const purgedOf = async (purge: () => Promise<number>) =>
      (await Promise.all([purge(), purge()])).reduce((a, b) => a + b)
    expect(await purgedOf(() => outbox.purge(all))).toBe(settledCount)
    expect(await purgedOf(() => inbox.purge(all))).toBe(settledCount)
  })

  test('spares what is younger, in the middle of a batch too', async () => {
    const half = (settledCount / 2 - 0.5) * 3_600_000
    expect(await outbox.purge({ olderThanMs: half, limit: settledCount })).toBe(settledCount / 2 + 1)
    expect(await inbox.purge({ olderThanMs: half, limit: 2500 })).toBe(2500)
    expect(await inbox.purge({ olderThanMs: half, limit: settledCount })).toBe(settledCount / 2 + 1 - 2500)
    expect(await outbox.purge({ olderThanMs: Number.POSITIVE_INFINITY, limit: 10 })).toBe(0)
  })

  test.each(['outbox', 'inbox'] as const)(
    'of the %s costs the same per row under an old snapshot, for which all that was deleted has to stay',
    async (kind) => {
      const reader = await pool.connect()
      await reader.query('begin isolation level repeatable read; select 1')
      const plans: PlanNode[] = []
      const explained = drizzle({ client: explaining(pool, (plan) => plans.push(plan)) })
      const purged = kind === 'outbox' ? pgOutbox({ db: explained, notify: 'off' }) : pgInbox({ db: explained })
      expect(await purged.purge({ olderThanMs: 0, limit: settledCount })).toBe(settledCount)
      const { rows } = await reader.query(
        `select count(*)::int as count from outbox_${kind === 'outbox' ? 'entries' : kind}`,
      )
      expect(rows[0].count).toBeGreaterThanOrEqual(settledCount)
      await reader.query('commit')
      reader.release()
      const fronts = plans.flatMap(nodesOf).filter((node) => node['Subplan Name'] === 'CTE old')
      const blocks = fronts.map((front) => front['Shared Hit Blocks'] + front['Shared Read Blocks'])
      expect(blocks).toHaveLength(settledCount / 1000)
      const [first = 0, last = Number.POSITIVE_INFINITY] = [blocks[0], blocks.at(-1)]
      expect(last).toBeLessThan(first * 2)
    },
  )
})
