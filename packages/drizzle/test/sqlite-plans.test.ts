import type { DueEntry, Settlement } from '@outbox/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type SqliteOutbox, sqliteOutbox } from '../src/sqlite/index.ts'
import { newOutboxFile } from './sqlite-files.ts'

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

test('no statement of a relay reads a table of entries, or all of a partition, from end to end', async () => {
  const texts = new Set<string>()
  const { $client } = file.db
  const prepare = $client.prepare.bind($client)
  $client.prepare = (text: string) => {
    texts.add(text)
    return prepare(text)
  }
  await lifeOfARelay()
  $client.prepare = prepare
  const plans = [...texts].flatMap((text) => {
    const values = Array.from({ length: text.split('?').length - 1 }, () => null)
    const steps = $client.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${text}`).all(...values)
    return steps.map(({ detail }) => `${detail} — ${text}`)
  })
  const scans = plans.filter((plan) => /^SCAN (e|h|p|s|outbox_(entries|pending|settled)) /.test(plan))
  // parameters as tables, and the index of what is dead
  const small = / VIRTUAL TABLE | USING INDEX outbox_settled_dead /
  expect(scans.length).toBeGreaterThan(0)
  expect(scans.filter((plan) => !small.test(plan))).toEqual([])
  const partitions = plans.filter((plan) => /^[^—]*(outbox_pending_scan|outbox_pending_order) /.test(plan))
  expect(partitions.length).toBeGreaterThan(5)
  expect(partitions.filter((plan) => !/partition=\? AND (is_parked|aggregate_type)=\?/.test(plan))).toEqual([])
})

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
