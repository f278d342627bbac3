import { event } from '@outbox/core'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, startPostgres, waitFor } from '@outbox/services'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { openNodePostgres } from './pg-databases.ts'
import { handRelay } from './pg-log-relay.ts'

// A standby that must confirm every commit, and is not there: who waits for the disk waits for it as well.
describeWith({ own: 'postgres' }, 'where commits wait for a standby', () => {
  test.each(['mark', 'log'] as const)('%s engine: a fetch does not, a settle does', async (engine) => {
    await using server = await startPostgres()
    await using own = openNodePostgres(server.url)
    const { db } = own
    await setup(db, { engine })
    const outbox = pgOutbox({ db, engine })
    await db.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId: '1', payload: {} })))
    const { leases } = await handRelay(outbox)
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

describeWith({ own: 'postgres' }, 'what a fetch noted, and the server lost', () => {
  test.each(['mark', 'log'] as const)('%s engine: the batch is settled all the same, once', async (engine) => {
    await using server = await startPostgres()
    await using own = openNodePostgres(server.url)
    const { db } = own
    await setup(db, { engine })
    const outbox = pgOutbox({ db, engine })
    const commit = (aggregateId: string): Promise<unknown> =>
      db.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId, payload: {} })))
    for (const aggregateId of ['1', '1', '2']) await commit(aggregateId)
    const { leases } = await handRelay(outbox)
    const request = { leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 }
    // who would write to the disk what nobody waits for stands still until the end
    const { rows } = await db.execute(sql`select pid from pg_stat_activity where backend_type = 'walwriter'`)
    process.kill(Number(rows[0]?.['pid']), 'SIGSTOP')
    const due = await outbox.fetch(request)
    expect(due).toHaveLength(3)
    await server.kill()
    await server.restart()
    await waitFor(() => outbox.stats().catch(() => undefined), { what: 'the server to answer', timeoutMs: 120_000 })
    const notes = sql.raw(engine === 'log' ? 'outbox_log_cursors' : 'outbox_leases')
    expect(await db.$count(notes, sql`in_flight <> '{}'`), 'notes that are left').toBe(0)

    const settlements = due.map((entry) => ({ entry, outcome: 'published' as const }))
    expect(await outbox.settle({ leases, settlements })).toEqual({ lost: [] })
    expect(await outbox.stats()).toMatchObject({ pending: 0, dead: 0 })
    await commit('1')
    expect(await outbox.fetch(request)).toMatchObject([{ aggregateId: '1', sequence: 3 }])
  })
})
