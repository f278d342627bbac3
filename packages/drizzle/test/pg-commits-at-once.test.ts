import { event } from '@outbox/core'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, startPostgres, waitFor } from '@outbox/services'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { openNodePostgres } from './pg-databases.ts'

// A standby that must confirm every commit, and is not there: who waits for the disk waits for it as well.
describeWith({ own: 'postgres' }, 'where commits wait for a standby', () => {
  test.each(['mark', 'log'] as const)('%s engine: a fetch does not, a settle does', async (engine) => {
    await using server = await startPostgres()
    await using own = openNodePostgres(server.url)
    const { db } = own
    await setup(db, { engine })
    const outbox = pgOutbox({ db, engine })
    await db.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId: '1', payload: {} })))
    const holder = 'a relay'
    await outbox.join({ holder })
    const { leases: free } = await outbox.poll({ holder })
    const leases = await outbox.acquire({ holder, claims: free, evict: [] })
    const demand = async (standby: string): Promise<void> => {
      await db.execute(sql.raw(`alter system set synchronous_standby_names = '${standby}'`))
      await db.execute(sql`select pg_reload_conf()`)
    }
    const waiting = async (): Promise<number> => db.$count(sql`pg_stat_activity`, sql`wait_event = 'SyncRep'`)
    await db.execute(sql`create table commits ()`)
    await demand('nobody')
    // a session hears of it before one of its next statements
    let isOver = false
    const committing = async (): Promise<void> => {
      while (!isOver) await db.execute(sql`insert into commits default values`)
    }
    const committed = committing()
    await waitFor(async () => (await waiting()) > 0, { what: 'commits to wait for a standby' })

    const due = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 })
    expect(due).toHaveLength(1)
    expect(await waiting()).toBe(1)

    const settled = outbox.settle({ leases, settlements: due.map((entry) => ({ entry, outcome: 'published' })) })
    await waitFor(async () => (await waiting()) === 2, { what: 'the settle to wait' })
    isOver = true
    await demand('')
    expect(await settled).toEqual({ lost: [] })
    await committed
  })
})
