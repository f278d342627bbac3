import { type DueEntry, event, type Settlement, uuidv7Generator } from '@outbox/core'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type SqliteOutbox, setupInbox, sqliteInbox, sqliteOutbox } from '../src/sqlite/index.ts'
import { newOutboxFile } from './sqlite-files.ts'

const uuidv7 = uuidv7Generator()

let file: ReturnType<typeof newOutboxFile>
let outbox: SqliteOutbox
beforeEach(() => {
  file = newOutboxFile()
  outbox = sqliteOutbox({ db: file.db })
})
afterEach(() => file.remove())

/** A retry, a dead letter that blocks and comes back, one that is discarded, and the rest published. */
async function lifeOfARelay(): Promise<void> {
  commit(20)
  await outbox.join({ holder: 'relay' })
  const { leases: claims } = await outbox.poll({ holder: 'relay' })
  const leases = await outbox.acquire({ holder: 'relay', claims, evict: [] })
  const fetch = (): Promise<readonly DueEntry[]> =>
    outbox.fetch({ leases, limit: 100, limitPerAggregate: 100, maxBytes: 1_000_000 })
  const settlements = (await fetch()).map((entry, index): Settlement => {
    const reason = 'refused'
    if (index === 0) return { entry, outcome: 'retry', retryInMs: 0, isRefusal: true, reason }
    if (index <= 2) return { entry, outcome: 'dead', reason, blocksAggregate: true }
    return { entry, outcome: 'published' }
  })
  expect(settlements).toHaveLength(20)
  await outbox.settle({ leases, settlements })
  const dead = (await outbox.deadLetters.list({ limit: 10 })).map(({ entry }) => entry.id)
  expect(await outbox.deadLetters.requeue(dead.slice(0, 1))).toBe(1)
  expect(await outbox.deadLetters.discard(dead.slice(1))).toBe(1)
  const rest = await fetch()
  expect(rest).toHaveLength(2)
  await outbox.settle({ leases, settlements: rest.map((entry) => ({ entry, outcome: 'published' })) })
  expect(await outbox.purge({ olderThanMs: 0, limit: 100 })).toBe(20)
  await outbox.release({ holder: 'relay', leases, leave: true })
}

/** Numbers that callers give, a backlog of one aggregate that is parked, a relay that dies, and all that is asked beside. */
async function restOfALife(): Promise<void> {
  const credited = (sequence: number) => event('account.credited', { aggregateId: 'a', sequence, payload: {} })
  file.db.transaction((tx) => outbox.enqueue(tx, [credited(1), credited(2)]))
  await outbox.join({ holder: 'dead' })
  const { leases: free } = await outbox.poll({ holder: 'dead' })
  const lost = await outbox.acquire({ holder: 'dead', claims: free, evict: [] })
  const request = { limit: 10, limitPerAggregate: 10, maxBytes: 1_000_000 }
  expect(await outbox.fetch({ leases: lost, ...request })).toHaveLength(2)
  await outbox.join({ holder: 'heir' })
  const { leases: claims, relays } = await outbox.poll({ holder: 'heir' })
  const leases = await outbox.acquire({
    holder: 'heir',
    claims,
    evict: relays.filter(({ holder }) => holder === 'dead'),
  })
  const backlog = Array.from({ length: 300 }, () => ({ type: 'order.placed', aggregateId: 'long', payload: {} }))
  file.db.transaction((tx) => outbox.enqueue(tx, backlog))
  expect(await outbox.fetch({ leases, ...request })).toHaveLength(10)
  await outbox.check()
  await outbox.stats()
  await outbox.deadLetters.list({ limit: 1, after: uuidv7(), where: { eventType: 'order.placed' } })
  const [first] = await outbox.fetchUnpublished(1)
  await outbox.markPublished([first?.id ?? ''])
  setupInbox(file.db)
  const inbox = sqliteInbox({ db: file.db })
  file.db.transaction((tx) => inbox.once(tx, 'billing', '1', () => undefined))
  await inbox.purge({ olderThanMs: 0, limit: 10 })
}

/** All that a store says to SQLite, on either driver, that has a plan. */
async function statements(): Promise<readonly string[]> {
  const texts = new Set<string>()
  const { $client } = file.db
  const prepare = $client.prepare.bind($client)
  $client.prepare = (text: string) => {
    texts.add(text)
    return prepare(text)
  }
  await lifeOfARelay()
  await restOfALife()
  $client.prepare = prepare
  return [...texts].filter((text) => /^(SELECT|INSERT|UPDATE|DELETE|WITH)\b/.test(text))
}

/** A file in which ANALYZE has counted `rows` rows in every table: plans go by that, however large the backlog is by then. */
function analyzed(rows: number | undefined): ReturnType<typeof newOutboxFile> {
  const other = newOutboxFile()
  setupInbox(other.db)
  if (rows === undefined) return other
  const fill = (table: string, columns: string, values: string): unknown =>
    other.db.run(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO outbox_${table} (${columns}) SELECT ${values} FROM n WHERE ${rows} > 0`)
  const name = 'aggregate_type, aggregate_id'
  fill(
    'entries',
    `id, partition, ${name}, event_type, sequence, payload`,
    "'id' || i, i % 64, 'a', i % 1000, 'a.b', i, '{}'",
  )
  fill('pending', `position, partition, ${name}, sequence, payload_bytes`, "i, i % 64, 'a', i % 1000, i, 2")
  fill('settled', 'position, partition, outcome, settled_at', "i, i % 64, iif(i % 2, 'published', 'dead'), i")
  fill('sequences', `${name}, last_sequence`, "'a', i, 1")
  fill('aggregates', `partition, ${name}, waiting_until`, "i % 64, 'a', i, 1")
  fill('inbox', 'consumer, message_id', "'billing', i")
  fill('meta', 'key, value', "'sequence-source:' || i, 'store'")
  other.db.run('ANALYZE')
  return other
}

/** Tables that grow, or their names within a statement, read from their beginning. */
const large = /^SCAN (e|h|p|s|a|outbox_(entries|pending|settled|aggregates|sequences|inbox))\b/

/** What reads a table, or an index, from its beginning, and may: what of it and why. */
const wholeReads: readonly (readonly [plan: RegExp, why: string])[] = [
  [/ VIRTUAL TABLE /, 'parameters as tables'],
  [/ INDEX outbox_(settled_dead|pending_suspect)\b/, 'an index of nearly nothing'],
  [/^SCAN outbox_aggregates .*LIMIT 1$/, 'ends at the first row'],
  [/^SCAN p — .*NOT INDEXED.*ORDER BY p\.position LIMIT/, 'in the order that is asked for, and ends'],
  [/^SCAN outbox_pending USING COVERING INDEX outbox_pending_scan — .*GROUP BY partition/, 'counts all'],
]

/** Once per settle, tens of nanoseconds a row: of a table that was counted nearly empty, SQLite deletes by a list of keys so. */
const listed =
  /^SCAN (outbox_pending|a)\b.* — DELETE FROM outbox_(pending WHERE position IN|aggregates AS a WHERE rowid IN)/

/** How far an index has to be used at least: a partition, and all entries of a type, may be all there is. */
const prefixes: Readonly<Record<string, RegExp>> = {
  pending_scan: /\(partition=\? AND is_parked=\?/,
  pending_order: /\(partition=\? AND aggregate_type=\? AND aggregate_id=\?/,
  entries_sequence: /\(aggregate_type=\? AND aggregate_id=\?/,
  autoindex_outbox_aggregates_1: /\(aggregate_type=\? AND aggregate_id=\?\)/,
  autoindex_outbox_sequences_1: /\(aggregate_type=\? AND aggregate_id=\?\)/,
}

function isShort(plan: string): boolean {
  return Object.entries(prefixes).some(([index, prefix]) => plan.includes(`${index} (`) && !prefix.test(plan))
}

/** What both drivers' SQLite would do for each of the texts: one line a step. */
async function plansOf(texts: readonly string[], rows: number | undefined): Promise<readonly string[]> {
  const counted = analyzed(rows)
  const plans = new Set<string>()
  const questions = texts.map((text) => ({
    text: text.replace(/\s+/g, ' '),
    sql: `EXPLAIN QUERY PLAN ${text}`,
    args: Array.from({ length: text.split('?').length - 1 }, () => null),
  }))
  for (const { text, sql, args } of questions) {
    const steps = counted.db.$client.prepare<unknown[], { detail: string }>(sql).all(...args)
    for (const { detail } of steps) plans.add(`${detail} — ${text}`)
  }
  counted.disconnect()
  const { $client } = counted.connectLibsql()
  for (const { text, sql, args } of questions) {
    for (const { detail } of (await $client.execute({ sql, args })).rows) {
      if (typeof detail !== 'string') throw new TypeError('A plan has steps in words.')
      plans.add(`${detail} — ${text}`)
    }
  }
  counted.remove()
  return [...plans]
}

test.each([undefined, 0, 1, 2, 5, 20, 100, 1000, 20_000])(
  'no statement reads a table of entries, or all of a partition, from end to end (rows that ANALYZE has counted: %s)',
  async (rows) => {
    const texts = await statements()
    expect(texts.length).toBeGreaterThan(50)
    const plans = await plansOf(texts, rows)
    const scans = plans.filter((plan) => large.test(plan))
    const isFew = rows !== undefined && rows < 100
    const unwanted = scans.filter(
      (plan) => !wholeReads.some(([known]) => known.test(plan)) && !(isFew && listed.test(plan)),
    )
    expect(unwanted).toEqual([])
    expect(plans.filter(isShort)).toEqual([])
    expect(plans.filter((plan) => / outbox_pending_(scan|order) \(/.test(plan)).length).toBeGreaterThan(5)
  },
)

test.each([
  ['all partitions', 'i % 64', 64 * 32],
  ['a few', 'i % 3', 3 * (32 + 500)],
  ['one', '7', 32 + 500],
])(
  'of many aggregates that are due at once in %s, no more are ranked than a batch may need',
  async (_where, of, most) => {
    file.db.run(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6400)
    INSERT INTO outbox_entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload)
    SELECT 'id' || i, ${of}, 'a', i, 'a.b', 1, '{}' FROM n`)
    file.db.run(`INSERT INTO outbox_pending (position, partition, aggregate_type, aggregate_id, sequence, payload_bytes, is_parked)
    SELECT position, partition, aggregate_type, aggregate_id, sequence, payload_bytes, 1 FROM outbox_entries`)
    file.db.run(`INSERT INTO outbox_aggregates (aggregate_type, aggregate_id, partition, waiting_until)
    SELECT aggregate_type, aggregate_id, partition, position FROM outbox_entries`)
    await outbox.join({ holder: 'relay' })
    const { leases: claims } = await outbox.poll({ holder: 'relay' })
    const leases = await outbox.acquire({ holder: 'relay', claims, evict: [] })
    let ranked = 0
    const prototype = Object.getPrototypeOf(file.db.$client.prepare('SELECT 1'))
    const all = prototype.all
    using _ = vi.spyOn(prototype, 'all').mockImplementation(function (this: { readonly source: string }, ...values) {
      const rows = all.apply(this, values)
      if (this.source.includes('waiting_until <=')) ranked += rows.length
      return rows
    })
    const lent = await outbox.fetch({ leases, limit: 500, limitPerAggregate: 100, maxBytes: 1_000_000 })
    // those that have waited longest, of each partition
    expect(lent).toHaveLength(500)
    for (const { partition } of leases) {
      const ids = lent
        .filter(({ lease }) => lease.partition === partition)
        .map(({ aggregateId }) => Number(aggregateId))
      const waiting = file.db.all<{ id: string }>(
        `SELECT aggregate_id AS id FROM outbox_aggregates WHERE partition = ${partition} ORDER BY waiting_until LIMIT ${ids.length}`,
      )
      expect(ids).toEqual(waiting.map(({ id }) => Number(id)))
    }
    expect(ranked).toBeGreaterThan(0)
    expect(ranked).toBeLessThanOrEqual(most)
  },
)

test('a relay leaves what was enqueued as it is, until it is requeued or purged: it writes narrow rows beside it', async () => {
  file.db.run(`CREATE TRIGGER untouched BEFORE UPDATE ON outbox_entries WHEN new.requeues = old.requeues
    BEGIN SELECT raise(ABORT, 'an entry was written to'); END`)
  await lifeOfARelay()
  for (const table of ['entries', 'pending', 'settled', 'aggregates']) {
    expect(file.db.all(`SELECT * FROM outbox_${table}`), table).toEqual([])
  }
})

function commit(count: number): void {
  const events = Array.from({ length: count }, (_, n) => ({ type: 'order.placed', aggregateId: `${n}`, payload: {} }))
  file.db.transaction((tx) => outbox.enqueue(tx, events))
}
