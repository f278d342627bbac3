import { type PgOutboxOptions, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, type OwnServer, startPgBouncer, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { drizzle as onPostgresJs } from 'drizzle-orm/postgres-js'
import { Client } from 'pg'
import postgres from 'postgres'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { TestDatabase as Database } from './pg-connections.ts'
import { type Opened, openNodePostgres, ownDatabase, sessionsWaiting } from './pg-databases.ts'
import { nodesOf, type PlanNode } from './pg-explaining.ts'
import { handRelay, published } from './pg-log-relay.ts'
import { run } from './pg-roles.ts'
import { clockAhead, replacing } from './pg-watching.ts'

/** One connection each, so that what is prepared on it can be looked at. */
interface OneConnection extends Opened<Database> {
  query(text: string): Promise<readonly Record<string, unknown>[]>
}

function openPool(url: string): OneConnection {
  const own = openNodePostgres(url, { max: 1 })
  return { ...own, query: async (text) => (await own.db.$client.query(text)).rows }
}

function openPostgresJs(url: string): OneConnection {
  const client = postgres(url, { max: 1, onnotice: () => undefined })
  return {
    db: onPostgresJs({ client }),
    query: async (text) => client.unsafe(text),
    [Symbol.asyncDispose]: () => client.end(),
  }
}

describeWith('postgres', 'prepared statements', () => {
  let database: TestDatabase
  beforeEach(async () => {
    database = await ownDatabase()
  })
  afterEach(() => database[Symbol.asyncDispose]())

  test.each([
    ['mark', { fetch: 3, poll: 4, settle: 3 }],
    ['log', { fetch: 3, pass: 3, poll: 4 }],
  ] as const)(
    'a relay’s everyday statements, with the engine %s: each is planned for all its calls',
    async (engine, expected) => {
      await using own = openPool(database.url)
      const { day } = await begun(own.db, { engine })
      for (let n = 0; n < 3; n++) await day()
      // to know who has which lease, a relay polls once more
      expect(await prepared(own)).toEqual(expected)
    },
  )

  test('prepare: false prepares none', async () => {
    await using own = openPool(database.url)
    const { day } = await begun(own.db, { prepare: false })
    await day()
    expect(await prepared(own)).toEqual({})
  })

  test('what the server has forgotten is sent all the same', async () => {
    await using own = openPool(database.url)
    const { day } = await begun(own.db)
    await day()
    const ours = await own.query(`select name from pg_prepared_statements where statement like '%\\_leases%'`)
    expect(ours).toHaveLength(3)
    for (const { name } of ours) await own.query(`deallocate "${name}"`)
    await day()
    await day()
  })

  test('so is what a migration has changed the columns of', async () => {
    await using own = openPool(database.url)
    const { day } = await begun(own.db)
    await day()
    await run(database.url, 'alter table outbox_entries alter aggregate_type type varchar(200)')
    await day()
    await day()
  })

  test('none through postgres-js', async () => {
    await using own = openPostgresJs(database.url)
    const { day } = await begun(own.db)
    await day()
    expect(await prepared(own)).toEqual({})
  })

  test('two outboxes on one connection do not mix up theirs', async () => {
    await using own = openPool(database.url)
    const one = await begun(own.db, { prefix: 'one_' })
    const other = await begun(own.db, { prefix: 'other_' })
    for (const { day } of [one, other, one, other]) await day()
    const names = await own.query(`select from pg_prepared_statements where name like 'outbox%'`)
    expect(names).toHaveLength(6)
  })

  test('a plan for empty tables is made anew after the first call that took long for it', async () => {
    await using own = openPool(database.url)
    const { relay } = await begun(own.db)
    await own.query(`
      alter table outbox_entries set (autovacuum_enabled = false);
      alter table outbox_aggregates set (autovacuum_enabled = false)`)
    await own.query('vacuum (analyze, truncate)')
    // PostgreSQL plans a statement five times for its values before it makes a plan for any
    for (let n = 0; n < 8; n++) await relay.fetch()
    await own.query(`
      insert into outbox_entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
      select gen_random_uuid(), n % 64, 'order', n::text, 'order.placed', 1, '{}' from generate_series(1, 30000) n`)
    expect(await scansWhole(own)).toBe(true)

    using _ = clockAhead(() => 60_000) // whatever the first calls took is long ago
    expect(await slowly(() => relay.fetch())).toHaveLength(500)
    expect(await scansWhole(own)).toBe(false)
  })

  test('a connection whose statements stay slow has its plans made anew once in half a minute', async () => {
    await using own = openNodePostgres(database.url, { max: 1 })
    const { relay } = await begun(own.db)
    let passedMs = 60_000 // whatever its first calls took is long ago
    let discards = 0
    using _clock = clockAhead(() => passedMs)
    const client = await own.db.$client.connect()
    const send: unknown = client.query.bind(client)
    const watched = (...sent: readonly unknown[]): unknown => {
      if (sent[0] === 'discard plans') discards += 1
      else passedMs += 200
      return typeof send === 'function' ? send(...sent) : undefined
    }
    using _query = vi.spyOn(client, 'query').mockImplementation(watched as () => void)
    client.release()
    for (let n = 0; n < 5; n++) await relay.fetch()
    expect(discards).toBe(1)
    passedMs += 30_000
    await relay.fetch()
    expect(discards).toBe(2)
  })

  test('a connection that is lost while its plans are discarded is told of, and the next call has another', async () => {
    await using own = openNodePostgres(database.url)
    const { relay } = await begun(own.db)
    let lost = 0
    const client = replacing(own.db.$client, 'connect', async () => {
      const connection = await own.db.$client.connect()
      return replacing(connection, 'query', async (sent: string) => {
        if (sent === 'discard plans' && lost === 0) {
          const { rows } = await connection.query('select pg_backend_pid() as pid')
          await run(database.url, `select pg_terminate_backend(${rows[0].pid})`)
          lost += 1
        }
        return connection.query(sent)
      })
    })
    const outbox = pgOutbox({ db: drizzle({ client }), notify: 'off', listen: false })
    const fetch = () => outbox.fetch({ leases: relay.leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 })
    await expect(slowly(fetch)).rejects.toMatchObject({ code: 'unavailable' })
    expect(lost).toBe(1)
    expect(await fetch()).toEqual([])
  })

  /** What it answers when it had to wait for its leases, for longer than a plan is trusted. */
  async function slowly<T>(call: () => Promise<T>): Promise<T> {
    await using holder = await locking(database.url, 'select from outbox_leases for update')
    const answer = call()
    answer.catch(() => undefined) // it is told below
    await waitFor(async () => (await sessionsWaiting(database)) > 0, { what: 'the call to wait for its leases' })
    const since = performance.now()
    await waitFor(async () => performance.now() - since > 150, { what: 'a while to pass' })
    await holder.release()
    return await answer
  }
})

describeWith(['postgres', { own: 'pgbouncer' }], 'prepared statements behind PgBouncer in transaction mode', () => {
  test('relays do without them where it loses them', async () => {
    await using database = await ownDatabase()
    await using bouncer: OwnServer = await startPgBouncer({ to: database.url })
    await using own = openNodePostgres(bouncer.url, { max: 6 })
    const { outbox, relay } = await begun(own.db)
    const polls = Array.from({ length: 40 }, () => outbox.poll({ holder: relay.holder }))
    for (const poll of await Promise.all(polls)) expect(poll.isMember).toBe(true)
  })
})

/** An outbox, and a relay by hand that has all leases. */
async function begun(db: Database, options: Omit<PgOutboxOptions, 'db'> = {}) {
  const { engine = 'mark', prefix = 'outbox_' } = options
  await setup(db, { engine, prefix })
  const outbox = pgOutbox({ db, notify: 'off', listen: false, ...options })
  const relay = await handRelay(outbox)
  return {
    outbox,
    relay,
    /** One entry, from its enqueue to its end; every statement once. */
    async day() {
      await db.transaction((tx) => outbox.enqueue(tx, { type: 'order.placed', aggregateId: '1', payload: {} }))
      expect((await outbox.poll({ holder: relay.holder })).duePartitions).toHaveLength(1)
      const lent = await relay.fetch()
      expect(lent).toHaveLength(1)
      expect(await relay.settle(lent.map(published))).toEqual([])
    },
  }
}

/** How often each statement was called that is prepared on the connection, but for the driver's own. */
async function prepared(own: OneConnection) {
  const rows = await own.query(`
    select case when statement like '%payload::text%' then 'fetch' when statement like '%renewed%' then 'poll'
        when statement like '%is_done%' then 'pass' else 'settle' end as statement,
      (generic_plans + custom_plans)::int as calls
    from pg_prepared_statements
    where statement like '%\\_leases%'
    order by 1`)
  return Object.fromEntries(rows.map(({ statement, calls }) => [statement, calls]))
}

/** Whether the plan that the connection has for a fetch looks through all entries, or sorts those of a partition. */
async function scansWhole(own: OneConnection): Promise<boolean> {
  const [statement] = await own.query(`select name from pg_prepared_statements where name like 'outbox%fetch'`)
  const values = `'{0}', '{1}', '{"nobody"}', '500', '16', '100', '1000000'`
  const [row] = await own.query(`explain (format json) execute "${statement?.['name']}" (${values})`)
  const [explained] = (row?.['QUERY PLAN'] ?? []) as readonly { readonly Plan: PlanNode }[]
  const nodes = explained ? nodesOf(explained.Plan) : []
  expect(nodes).not.toEqual([])
  return nodes.some((node) => node['Relation Name'] === 'outbox_entries' && node['Node Type'] === 'Seq Scan')
}

/** A transaction that holds what the statement locks. */
async function locking(url: string, text: string) {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('begin')
  await client.query(text)
  return { release: () => client.query('commit'), [Symbol.asyncDispose]: () => client.end() }
}
