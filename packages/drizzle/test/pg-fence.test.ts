import type { DueEntry, Lease, Settlement } from '@outbox/core'
import { event } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Client, Pool } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ownDatabase, sessionsWaiting } from './pg-databases.ts'

/**
 * Two statements meet at the row of one lease: a third session holds it locked until both wait, in an order that the
 * test chooses. PostgreSQL serves those who wait for a row in the order in which they came.
 */
describeWith('postgres', 'the fence', () => {
  let database: TestDatabase
  let pool: Pool
  let outbox: PgOutbox
  let blocker: Client
  let lease: Lease
  let due: readonly DueEntry[]

  beforeEach(async () => {
    database = await ownDatabase()
    pool = new Pool({ connectionString: database.url })
    const db = drizzle({ client: pool })
    await setup(db)
    outbox = pgOutbox({ db, notify: 'off' })
    const placed = event('order.placed', { aggregateId: '1', payload: {} })
    await db.transaction((tx) => outbox.enqueue(tx, [placed, placed]))
    await outbox.join({ holder: 'old' })
    const { leases, duePartitions } = await outbox.poll({ holder: 'old' })
    const [partition] = duePartitions
    const claims = leases.filter((one) => one.partition === partition)
    const granted = await outbox.acquire({ holder: 'old', claims, evict: [] })
    lease = granted[0] ?? expect.fail('no lease was granted')
    due = await fetchOne(lease)
    expect(due).toHaveLength(1)
    blocker = new Client({ connectionString: database.url })
    await blocker.connect()
  })
  afterEach(async () => {
    await blocker.end()
    await pool.end()
    await database[Symbol.asyncDispose]()
  })

  test('a settle that waits behind a take-over is lost, and changes nothing', async () => {
    await lockLease()
    const taking = takeOver()
    await waiting(1)
    const settling = outbox.settle({ leases: [lease], settlements: due.map(published) })
    await waiting(2)
    await unlockLease()
    expect(await taking).toMatchObject([{ partition: lease.partition, epoch: lease.epoch + 1, holder: 'new' }])
    expect(await settling).toEqual({ lost: [lease] })
    expect(await outbox.fetchUnpublished(10)).toHaveLength(2)
    // nobody said what became of the one that was lent
    expect(await fetchOne(...(await taking))).toMatchObject([{ sequence: 1, attempt: 1, crashes: 1 }])
  })

  test('a settle that a take-over waits for counts, and nothing crashed', async () => {
    await lockLease()
    const settling = outbox.settle({ leases: [lease], settlements: due.map(published) })
    await waiting(1)
    const taking = takeOver()
    await waiting(2)
    await unlockLease()
    expect(await settling).toEqual({ lost: [] })
    expect(await fetchOne(...(await taking))).toMatchObject([{ sequence: 2, attempt: 1, crashes: 0 }])
  })

  test('a retry that waits behind a take-over makes no aggregate wait', async () => {
    await lockLease()
    const taking = takeOver()
    await waiting(1)
    const settlements = due.map(
      (entry): Settlement => ({ entry, outcome: 'retry', retryInMs: 1e9, isRefusal: true, reason: 'late' }),
    )
    const settling = outbox.settle({ leases: [lease], settlements })
    await waiting(2)
    await unlockLease()
    expect(await settling).toEqual({ lost: [lease] })
    expect(await fetchOne(...(await taking))).toMatchObject([{ sequence: 1, attempt: 1 }])
    expect((await pool.query('select from outbox_aggregates')).rows).toEqual([])
  })

  test('a fetch that waits behind a take-over lends nothing, and notes nothing', async () => {
    await outbox.settle({ leases: [lease], settlements: [] })
    await lockLease()
    const taking = takeOver()
    await waiting(1)
    const fetching = fetchOne(lease)
    await waiting(2)
    await unlockLease()
    const granted = await taking
    expect(await fetching).toEqual([])
    const noted = 'select from outbox_leases where cardinality(in_flight) > 0'
    expect((await pool.query(noted)).rows).toEqual([])
    expect(await fetchOne(...granted)).toMatchObject([{ sequence: 1, crashes: 0 }])
  })

  test('a release that waits behind a take-over gives back nothing', async () => {
    await lockLease()
    const taking = takeOver()
    await waiting(1)
    const releasing = outbox.release({ holder: 'old', leases: [lease], leave: false })
    await waiting(2)
    await unlockLease()
    const granted = await taking
    await releasing
    expect(await fetchOne(...granted)).toHaveLength(1)
  })

  test('of two take-overs that meet, one is granted', async () => {
    await lockLease()
    const first = takeOver('first')
    await waiting(1)
    const second = takeOver('second')
    await waiting(2)
    await unlockLease()
    expect([...(await first), ...(await second)]).toEqual([
      { partition: lease.partition, epoch: lease.epoch + 1, holder: 'first', hasSuspects: false },
    ])
  })

  async function lockLease(): Promise<void> {
    await blocker.query('begin')
    await blocker.query('select from outbox_leases where partition = $1 for update', [lease.partition])
  }

  async function unlockLease(): Promise<void> {
    await blocker.query('commit')
  }

  /** Takes the lease over from `old`, whose beat is known: it polled once. */
  async function takeOver(holder: string = 'new'): Promise<readonly Lease[]> {
    await outbox.join({ holder })
    return outbox.acquire({ holder, claims: [lease], evict: [{ holder: 'old', beat: 1 }] })
  }

  function fetchOne(...leases: readonly Lease[]): Promise<readonly DueEntry[]> {
    return outbox.fetch({ leases, limit: 1, limitPerAggregate: 1, maxBytes: 1000 })
  }

  async function waiting(sessions: number): Promise<void> {
    await waitFor(async () => (await sessionsWaiting(database)) === sessions, {
      what: `${sessions} sessions to wait for a lock`,
    })
  }
})

function published(entry: DueEntry): Settlement {
  return { entry, outcome: 'published' }
}
