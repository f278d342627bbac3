import { event } from '@outbox/core'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { expect, test } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { explaining, nodesOf, type PlanNode, rowsRead } from './pg-explaining.ts'
import { handRelay, published, refused } from './pg-log-relay.ts'

/** entries of what there is much of */
const many = 100_000
/** What a statement may read of a table: some times what it is asked for, and nothing that grows with the table. */
const mostRowsRead = 70_000
/** of some size, as what a scan of a table costs depends on it */
const payload = JSON.stringify('x'.repeat(200))
/** Rows that a join may compare, and throw away. */
const mostCompared = 300_000

/** Statistics are taken after `before`; then comes `since`, and the planner does not know. */
interface Moment {
  readonly before: readonly string[]
  readonly since: readonly string[]
}

const spread = "n % 64, 'order', (n % 19968)::text"
const blocked = "n % 10, 'order', 'blocked ' || n % 10"
const rowsOfBlocked = `
  insert into outbox_aggregates (partition, aggregate_type, aggregate_id, waiting_until, parkings)
  select n, 'order', 'blocked ' || n, 'infinity', 1 from generate_series(0, 9) n`

const moments: Readonly<Record<string, Moment>> = {
  'a few entries are pending, and then many': {
    before: [entries(spread, 3000, 'pending')],
    since: [entries(spread, many, 'pending')],
  },
  'nothing is settled yet, and then much': {
    before: [entries(spread, 1000, 'pending'), entries(spread, 5, 'published')],
    since: [entries(spread, many, 'published')],
  },
  'much is pending, and then nearly nothing': {
    before: [entries(spread, many, 'pending'), 'vacuum analyze'],
    since: [`update outbox_entries set state = 'published', settled_at = now() where position > 1000`],
  },
  'all is pending in one partition': {
    before: [entries("7, 'order', (n % 19968)::text", 2 * many, 'pending'), aggregates('n % 64', 5000, 'infinity')],
    since: [],
  },
  'all is pending in one partition, and then a letter blocks as much there': {
    before: [entries("7, 'order', (n % 19968)::text", many, 'pending')],
    since: [
      `update outbox_entries set state = 'published', settled_at = now()`,
      rowsOfBlocked,
      entries("7, 'order', 'blocked 7'", many, 'parked'),
      aggregates('7', 300, 'today'),
      entries("7, 'order', 'today ' || n", 300, 'parked'),
    ],
  },
  'nearly all waits, and then others come': {
    before: [
      aggregates('n % 64', many, 'infinity'),
      entries("n % 64, 'order', 'infinity ' || n", many, 'parked'),
      entries(spread, 3000, 'pending'),
    ],
    since: [entries(spread, many, 'pending')],
  },
  'some wait, and then many, with their entries in front': {
    before: [entries(spread, many, 'published'), aggregates('n % 64', 300, 'infinity')],
    since: [
      aggregates('n % 64', many, 'tomorrow'),
      entries("n % 64, 'order', 'tomorrow ' || n", many, 'pending'),
      entries(spread, 1000, 'pending'),
    ],
  },
}

describeWith('postgres', 'statistics of a moment when', () => {
  test.each(Object.entries(moments))('%s make no call dear', async (_, moment) => {
    await using own = await openAt('mark', moment)
    await own.day()
  })
})

const inLog = (from: number, count: number, place = spread): string => `
  insert into outbox_log (slot, xid, id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
  select 0, pg_current_xact_id(), gen_random_uuid(), ${place}, 'order.placed', n, '{}'
  from generate_series(${from}, ${from + count - 1}) n`

const momentsOfLog: Readonly<Record<string, Moment>> = {
  'the log is all but empty, and then it is not': { before: [inLog(1, 1000)], since: [inLog(1001, many)] },
  'all of the log is in one partition': { before: [inLog(1, many, "7, 'order', (n % 19968)::text")], since: [] },
  'all is passed, and then the leaf is held by a few': {
    before: [inLog(1, 100)],
    since: [
      inLog(101, many),
      `update outbox_log_cursors set since = pg_current_snapshot(), until = pg_current_snapshot(),
        seen = ${many}, next_low = ${many}, low = ${many}, high = ${many}`,
      inLog(many + 101, 1000),
      `select setval('outbox_log_slot', 1)`,
    ],
  },
  'letters block nearly all, and then much is published aside, which callers number': {
    before: [rowsOfBlocked, entries(blocked, many / 2, 'parked')],
    since: [
      `insert into outbox_meta values ('sequence-source:order', 'caller')`,
      entries("n % 64, 'order', 'aside ' || n", many / 2, 'published'),
      inLog(1, 3000),
    ],
  },
}

describeWith('postgres', 'statistics of a moment when, beside a log,', () => {
  test.each(Object.entries(momentsOfLog))('%s make no call dear', async (_, moment) => {
    await using own = await openAt('log', moment)
    await own.day()
  })
})

/** An insert of entries in a state, numbered behind those that are there. */
function entries(place: string, count: number, state: string): string {
  return `
    insert into outbox_entries
      (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state, settled_at)
    select gen_random_uuid(), ${place}, 'order.placed', n + (select count(*) from outbox_entries),
      '${payload}', '${state}',
      case when '${state}' = 'published' then now() end
    from generate_series(1, ${count}) n`
}

/** An insert of aggregates that wait until some time. */
function aggregates(partition: string, count: number, until: string): string {
  return `
    insert into outbox_aggregates (partition, aggregate_type, aggregate_id, waiting_until, parkings)
    select ${partition}, 'order', '${until} ' || n, '${until}', 1 from generate_series(1, ${count}) n`
}

/** An outbox with the statistics of a moment, and a relay that has all leases. */
async function openAt(engine: 'mark' | 'log', { before, since }: Moment) {
  await using stack = new AsyncDisposableStack()
  const database = stack.use(await ownDatabase())
  const own = stack.use(openNodePostgres(database.url))
  await setup(own.db, { engine })
  const sql = (text: string) => own.db.$client.query(text)
  for (const table of ['entries', 'aggregates', ...(engine === 'log' ? ['log_0', 'log_1', 'log_2'] : [])])
    await sql(`alter table outbox_${table} set (autovacuum_enabled = false)`)
  const { holder, leases } = await handRelay(pgOutbox({ db: own.db, engine, notify: 'off' }))
  for (const text of [...before, 'analyze', ...since]) await sql(text)
  let dear: string[] = []
  let plans = 0
  let mostRows = mostRowsRead
  const client = explaining(own.db.$client, (plan, isCompiled) => {
    plans += 1
    if (isCompiled) dear.push('compiled')
    dear.push(...nodesOf(plan).flatMap((node) => dearIn(node, mostRows)))
  })
  const db = drizzle({ client })
  const outbox = pgOutbox({ db, engine, notify: 'off' })
  const cheap = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
    ;[dear, plans] = [[], 0]
    const answer = await call()
    expect(plans, what).toBeGreaterThan(0)
    expect(dear, what).toEqual([])
    return answer
  }
  const all = stack.move()
  return {
    /** What a relay does, and an operator: none of it may read much more than it is asked for. */
    async day() {
      const request = { leases, limit: 500, limitPerAggregate: 100, maxBytes: 1e9 }
      await cheap('poll', () => outbox.poll({ holder }))
      const lent = await cheap('fetch', () => outbox.fetch(request))
      expect(lent.length).toBeGreaterThan(15)
      await cheap('settle', () =>
        outbox.settle({
          leases,
          settlements: lent.map((entry, n) => (n % 50 === 0 ? refused(entry, 1e9) : published(entry))),
        }),
      )
      await cheap('second fetch', () => outbox.fetch(request))
      await cheap('poll of others', () => outbox.poll({ holder }))
      const unpublished = await cheap('fetchUnpublished', () => outbox.fetchUnpublished(10))
      await cheap('markPublished', () => outbox.markPublished(unpublished.map(({ id }) => id)))
      await cheap('enqueue', () =>
        db.transaction((tx) => outbox.enqueue(tx, event('sale.made', { aggregateId: '1', payload: {} }))),
      )
      await cheap('purge', () => outbox.purge({ olderThanMs: 0, limit: 2000 }))
      await cheap('deadLetters', () => outbox.deadLetters.list({ limit: 100 }))
      await outbox.join({ holder: 'next' })
      const { relays, leases: claims } = await outbox.poll({ holder: 'next' })
      const evict = relays.filter((relay) => relay.holder === holder)
      await cheap('acquire', () => outbox.acquire({ holder: 'next', claims, evict }))
      // it counts what is pending, and reads nothing else
      const { pending } = await pgOutbox({ db: own.db, engine, notify: 'off' }).stats()
      mostRows = Math.max(mostRowsRead, 2 * pending)
      await cheap('stats', () => outbox.stats())
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

function dearIn(node: PlanNode, mostRows: number): readonly string[] {
  const read = rowsRead(node)
  const compared = (node['Rows Removed by Join Filter'] ?? 0) * node['Actual Loops']
  const table = node['Relation Name'] ?? (node['Node Type'].startsWith('Bitmap Index') ? node['Index Name'] : undefined)
  return [
    ...(table !== undefined && read > mostRows
      ? [`${read} rows of ${table} by ${node['Node Type']} ${node['Index Name'] ?? ''}`]
      : []),
    ...(compared > mostCompared ? [`${compared} rows compared by ${node['Node Type']}`] : []),
  ]
}
