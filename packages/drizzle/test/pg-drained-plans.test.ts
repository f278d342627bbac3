import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { expect, test } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { explaining, nodesOf, rowsRead } from './pg-explaining.ts'
import { handRelay } from './pg-log-relay.ts'

const settledCount = 50_000
const pendingCount = 100_000
/** aggregates that wait */
const waitingCount = 50_000
/** What a call may read of the large tables: some times what it is asked for, and nothing that grows with them. */
const mostRowsRead = 30_000

/** As most outboxes are when the statistics are taken: everything is settled, so the indexes of the pending are empty. */
describeWith('postgres', 'a backlog after statistics of a drained outbox', () => {
  test.each(['mark', 'log'] as const)('costs no more than what is lent of it, with the engine %s', async (engine) => {
    await using drained = await openDrained(engine)
    const { sql, holder, leases, outbox, reading } = drained
    await sql(pendingEntries("n % 64, 'order', (n % 19968)::text", pendingCount, 'pending'))
    await reading('poll', () => outbox.poll({ holder }))
    const lent = await reading('fetch', () =>
      outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 }),
    )
    expect(lent).toHaveLength(500)
    await reading('settle', () =>
      outbox.settle({
        leases,
        settlements: lent.map((entry, n) =>
          n % 50 === 0
            ? { entry, outcome: 'retry', retryInMs: 1e9, isRefusal: true, reason: 'later' }
            : { entry, outcome: 'published' },
        ),
      }),
    )
    const unpublished = await reading('fetchUnpublished', () => outbox.fetchUnpublished(100))
    await reading('markPublished', () => outbox.markPublished(unpublished.map(({ id }) => id)))
    await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 })
    await outbox.join({ holder: 'next' })
    const { relays, leases: claims } = await outbox.poll({ holder: 'next' })
    const evict = relays.filter((relay) => relay.holder === holder)
    const next = await reading('acquire', () => outbox.acquire({ holder: 'next', claims, evict }))
    // what was in flight is under suspicion once it crashed again, and looked at before everything else
    await sql('update outbox_entries set crashes = 5 where crashes > 0')
    const suspect = await reading('fetch of a suspect', () =>
      outbox.fetch({ leases: next, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 }),
    )
    expect(suspect).toHaveLength(1)
    await reading('stats', () => outbox.stats(), 2 * pendingCount)
  })

  test.each(['mark', 'log'] as const)(
    'that is parked behind one letter is not read for others, with the engine %s',
    async (engine) => {
      await using drained = await openDrained(engine)
      const { sql, holder, leases, outbox, reading } = drained
      await sql(`insert into outbox_aggregates (partition, aggregate_type, aggregate_id, waiting_until, parkings)
          values (7, 'order', 'blocked', 'infinity', 1)`)
      await sql(pendingEntries("7, 'order', 'blocked'", pendingCount, 'parked'))
      await sql(waitingAggregates(waitingCount, 'infinity'))
      await sql(waitingAggregates(300, 'today'))
      await sql(pendingEntries("n % 64, 'order', 'today ' || n", 300, 'parked'))
      await reading('poll', () => outbox.poll({ holder }))
      const lent = await reading('fetch', () =>
        outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 }),
      )
      expect(lent).toHaveLength(300)
      await reading('settle', () =>
        outbox.settle({ leases, settlements: lent.map((entry) => ({ entry, outcome: 'published' })) }),
      )
      await reading('poll after it', () => outbox.poll({ holder }))
    },
  )
})

/** An insert of aggregates that wait until some time. */
function waitingAggregates(count: number, until: string): string {
  return `
    insert into outbox_aggregates (partition, aggregate_type, aggregate_id, waiting_until, parkings)
    select n % 64, 'order', '${until} ' || n, '${until}', 1 from generate_series(1, ${count}) n`
}

/** An insert of entries in a state, behind those that are settled. */
function pendingEntries(place: string, count: number, state: string): string {
  return `
    insert into outbox_entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state)
    select gen_random_uuid(), ${place}, 'order.placed', ${settledCount} + n, '{}', '${state}'
    from generate_series(1, ${count}) n`
}

/** An outbox whose statistics know of no pending entry, and a relay that has all leases. */
async function openDrained(engine: 'mark' | 'log') {
  await using stack = new AsyncDisposableStack()
  const database = stack.use(await ownDatabase())
  const own = stack.use(openNodePostgres(database.url))
  await setup(own.db, { engine })
  const sql = (text: string) => own.db.$client.query(text)
  for (const table of ['entries', 'aggregates', 'leases'])
    await sql(`alter table outbox_${table} set (autovacuum_enabled = false)`)
  const { holder, leases } = await handRelay(pgOutbox({ db: own.db, engine, notify: 'off' }))
  await sql(`
    insert into outbox_entries
      (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state, settled_at)
    select gen_random_uuid(), n % 64, 'order', (n % 19968)::text, 'order.placed', n, '{}', 'published', now()
    from generate_series(1, ${settledCount}) n`)
  // others have waited, once
  await sql(waitingAggregates(waitingCount, 'infinity'))
  await sql('delete from outbox_aggregates')
  await sql('vacuum analyze')
  const read: { readonly scan: string; readonly rows: number }[] = []
  const client = explaining(own.db.$client, (plan) => {
    const scans = nodesOf(plan).filter((node) => /_(entries|aggregates)$/.test(node['Relation Name'] ?? ''))
    read.push(
      ...scans.map((node) => ({
        scan: node['Index Name'] ?? `${node['Node Type']} of ${node['Relation Name']}`,
        rows: rowsRead(node),
      })),
    )
  })
  const outbox = pgOutbox({ db: drizzle({ client }), engine, notify: 'off' })
  const all = stack.move()
  return {
    ...{ sql, holder, leases, outbox },
    /** Runs a call, which may read some times as many entries as it is asked for. */
    async reading<T>(what: string, call: () => Promise<T>, mostRows = mostRowsRead): Promise<T> {
      read.splice(0) // of calls that nobody asked about
      const answer = await call()
      expect(read.length, what).toBeGreaterThan(0)
      expect(
        read.filter(({ rows }) => rows > mostRows),
        what,
      ).toEqual([])
      return answer
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}
