import type { DueEntry, Lease, Settlement } from '@outbox/core'
import { partitionOf } from '@outbox/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type SqliteOutbox, sqliteOutbox } from '../src/sqlite/index.ts'
import { newOutboxFile } from './sqlite-files.ts'

let file: ReturnType<typeof newOutboxFile>
let outbox: SqliteOutbox
let leases: readonly Lease[]

beforeEach(async () => {
  file = newOutboxFile()
  outbox = sqliteOutbox({ db: file.db })
  await outbox.join({ holder: 'relay' })
  const { leases: claims } = await outbox.poll({ holder: 'relay' })
  leases = await outbox.acquire({ holder: 'relay', claims, evict: [] })
})
afterEach(() => file.remove())

test('a blocked aggregate with 100,000 entries leaves the scan within one fetch, and stays out of it', async () => {
  const [blocked, neighbour] = twoInOnePartition()
  commit(blocked, 100_000)
  await settle(await fetch(1), (entry) => ({ entry, outcome: 'dead', reason: 'poison', blocksAggregate: true }))
  commit(neighbour, 1)
  expect((await fetch(500)).map(({ aggregateId }) => aggregateId)).toEqual([neighbour])
  expect(inScan()).toBe(1)
  commit(blocked, 1000)
  expect(inScan()).toBe(1)
  await settle(await fetch(500), (entry) => ({ entry, outcome: 'published' }))
  expect((await outbox.poll({ holder: 'relay' })).duePartitions).toEqual([])
  expect((await outbox.stats()).pending).toBe(100_999)
})

test('an unblocked aggregate is drained in order without its entries coming back into the scan', async () => {
  const [blocked] = twoInOnePartition()
  commit(blocked, 3000)
  const [head] = await fetch(1)
  if (!head) throw new Error('an entry was due')
  await settle([head], (entry) => ({ entry, outcome: 'dead', reason: 'poison', blocksAggregate: true }))
  expect(await fetch(500)).toEqual([])
  await outbox.deadLetters.requeue([head.id])
  const sequences: number[] = []
  for (let batch = await fetch(500); batch.length > 0; batch = await fetch(500)) {
    expect(inScan()).toBe(0)
    sequences.push(...batch.map(({ sequence }) => sequence))
    await settle(batch, (entry) => ({ entry, outcome: 'published' }))
  }
  expect(sequences).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1))
  // nothing is left to be represented: the next entry is found by the scan
  expect(file.db.all('SELECT * FROM outbox_aggregates')).toEqual([])
  commit(blocked, 1)
  expect(inScan()).toBe(1)
})

test('a long backlog that never failed is taken out of the way of its younger neighbours', async () => {
  const [busy, neighbour] = twoInOnePartition()
  commit(busy, 20_000)
  commit(neighbour, 1)
  const seen = new Set<string>()
  for (let batches = 0; !seen.has(neighbour); batches++) {
    expect(batches).toBeLessThan(8) // 20,000 entries, 4,096 at a time
    const batch = await fetch(50)
    for (const { aggregateId } of batch) seen.add(aggregateId)
    await settle(batch, (entry) => ({ entry, outcome: 'published' }))
  }
  const rest = await fetch(50)
  expect(rest[0]?.aggregateId).toBe(busy)
})

test('an aggregate that waits is passed over by poll and fetch until its time, then goes on', async () => {
  const [waiting] = twoInOnePartition()
  commit(waiting, 300)
  const retry =
    (retryInMs: number) =>
    (entry: DueEntry): Settlement => ({
      entry,
      outcome: 'retry',
      retryInMs,
      isRefusal: true,
      reason: 'refused',
    })
  await settle(await fetch(1), retry(3_600_000))
  expect(await fetch(500)).toEqual([])
  expect(inScan()).toBe(0)
  expect((await outbox.poll({ holder: 'relay' })).duePartitions).toEqual([])
  file.db.run('UPDATE outbox_aggregates SET waiting_until = 0') // its time has come
  expect((await outbox.poll({ holder: 'relay' })).duePartitions).toEqual([partitionOf('order', waiting)])
  expect((await fetch(500)).map(({ sequence, attempt }) => [sequence, attempt]).slice(0, 2)).toEqual([
    [1, 2],
    [2, 1],
  ])
})

test('fetchUnpublished gives the oldest first, also of an aggregate that is parked and was not written by sequence', async () => {
  const [parked, neighbour] = twoInOnePartition()
  const sequences = Array.from({ length: 40 }, (_, index) => 40 - index)
  for (const sequence of sequences) {
    file.db.transaction((tx) =>
      outbox.enqueue(tx, { type: 'account.credited', aggregateId: parked, sequence, payload: {} }),
    )
  }
  commit(neighbour, 1)
  const [head] = await fetch(1)
  if (!head) throw new Error('an entry was due')
  await settle([head], (entry) => ({ entry, outcome: 'retry', retryInMs: 3_600_000, isRefusal: true, reason: 'no' }))
  await fetch(500)
  expect((await outbox.fetchUnpublished(5)).map(({ sequence }) => sequence)).toEqual(sequences.slice(0, 5))
  expect((await outbox.fetchUnpublished(50)).at(-1)?.aggregateId).toBe(neighbour)
})

function fetch(limit: number): Promise<readonly DueEntry[]> {
  return outbox.fetch({ leases, limit, limitPerAggregate: 100, maxBytes: 1_000_000 })
}

function settle(entries: readonly DueEntry[], settlement: (entry: DueEntry) => Settlement): Promise<unknown> {
  return outbox.settle({ leases, settlements: entries.map(settlement) })
}

function commit(aggregateId: string, count: number): void {
  const events = Array.from({ length: count }, () => ({ type: 'order.placed', aggregateId, payload: {} }))
  file.db.transaction((tx) => outbox.enqueue(tx, events))
}

/** How many entries a scan may meet. */
function inScan(): unknown {
  return file.db.$client.prepare('SELECT count(*) FROM outbox_pending WHERE is_parked = 0').pluck().get()
}

function twoInOnePartition(): [string, string] {
  const first = 'order-0'
  for (let n = 1; ; n++) {
    if (partitionOf('order', `order-${n}`) === partitionOf('order', first)) return [first, `order-${n}`]
  }
}
