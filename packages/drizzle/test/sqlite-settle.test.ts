import type { DueEntry, Lease } from '@outbox/core'
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

test('an entry is settled under the lease of its own partition only', async () => {
  commit('a', 1)
  const leases = await startRelay('relay', [])
  const [entry] = await fetch(leases)
  const [other] = leases.filter(({ partition }) => partition !== entry?.lease.partition)
  if (!entry || !other) throw new Error('an entry was due')
  for (const outcome of ['published', 'dead'] as const) {
    const settlement = { entry: { ...entry, lease: other }, outcome, reason: 'poison', blocksAggregate: true }
    expect(await outbox.settle({ leases, settlements: [settlement] })).toEqual({ lost: [] })
  }
  expect(await outbox.stats()).toMatchObject({ pending: 1, dead: 0 })
})

test('an entry that is settled several times in one call is settled once, as it is said first', async () => {
  commit('a', 2)
  const leases = await startRelay('relay', [])
  const [published, dead] = await fetch(leases)
  if (!published || !dead) throw new Error('two entries were due')
  const bury = (entry: DueEntry) => ({ entry, outcome: 'dead', reason: 'poison', blocksAggregate: false }) as const
  const publish = { entry: { ...published, lease: { ...published.lease } }, outcome: 'published' } as const
  await outbox.settle({ leases, settlements: [publish, bury(published), publish, bury(dead), bury(dead)] })
  expect(await outbox.stats()).toMatchObject({ pending: 0, dead: 1 })
  expect(await outbox.deadLetters.list({ limit: 10 })).toMatchObject([{ entry: { id: dead.id, attempt: 1 } }])
})

test('what is to wait for ever waits for as long as a number holds', async () => {
  commit('a', 1)
  const leases = await startRelay('relay', [])
  const [entry] = await fetch(leases)
  if (!entry) throw new Error('an entry was due')
  const retry = { entry, outcome: 'retry', retryInMs: Infinity, isRefusal: true, reason: 'away' } as const
  await outbox.settle({ leases, settlements: [retry] })
  expect(await fetch(leases)).toEqual([])
  expect(await outbox.stats()).toMatchObject({ pending: 1 })
})

test('an entry that a relay may have died of stays where it is while its aggregate is blocked', async () => {
  commit('a', 2)
  expect(await fetch(await startRelay('first', []))).toHaveLength(2)
  const { relays: first } = await outbox.poll({ holder: 'first' })
  expect(await fetch(await startRelay('second', first))).toHaveLength(2)
  const { relays: second } = await outbox.poll({ holder: 'second' })
  const leases = await startRelay('third', second)
  const suspects = await fetch(leases)
  expect(suspects).toMatchObject([{ sequence: 1, crashes: 2 }])
  const [head] = suspects
  if (!head) throw new Error('the head was due')
  const settlement = { entry: head, outcome: 'dead', reason: 'crash', blocksAggregate: true } as const
  await outbox.settle({ leases, settlements: [settlement] })
  expect(await fetch(leases)).toEqual([])
  await outbox.deadLetters.discard([head.id])
  expect(await fetch(leases)).toMatchObject([{ sequence: 2, crashes: 2 }])
})

test('an aggregate that two dead entries block stands still until both are requeued or discarded', async () => {
  commit('a', 3)
  const leases = await startRelay('relay', [])
  const [first, second] = await fetch(leases)
  if (!first || !second) throw new Error('two entries were due')
  const settlements = [first, second].map(
    (entry) => ({ entry, outcome: 'dead', reason: 'too large', blocksAggregate: true }) as const,
  )
  await outbox.settle({ leases, settlements })
  await outbox.deadLetters.discard([first.id])
  expect(await fetch(leases)).toEqual([])
  await outbox.deadLetters.requeue([second.id])
  expect((await fetch(leases)).map(({ sequence }) => sequence)).toEqual([2, 3])
})

test('purge deletes in small steps, published and discarded entries alone', async () => {
  commit('a', 1200)
  const leases = await startRelay('relay', [])
  const batch = await fetch(leases)
  await outbox.settle({ leases, settlements: batch.map((entry) => ({ entry, outcome: 'published' })) })
  commit('b', 1)
  expect(await outbox.purge({ olderThanMs: 0, limit: 700 })).toBe(700)
  expect(await outbox.purge({ olderThanMs: 3_600_000, limit: 700 })).toBe(0)
  expect(await outbox.purge({ olderThanMs: 0, limit: 700 })).toBe(500)
  expect(file.db.all('SELECT aggregate_id FROM outbox_entries')).toEqual([{ aggregate_id: 'b' }])
})

test('limits that are no whole number from 1 on lend nothing, and never everything, and list nothing', async () => {
  commit('a', 3)
  const leases = await startRelay('relay', [])
  for (const limit of [0, -1, Number.NaN, 0.5]) {
    expect(await outbox.fetch({ leases, limit, limitPerAggregate: 5, maxBytes: 1000 })).toEqual([])
    expect(await outbox.fetchUnpublished(limit)).toEqual([])
    await expect(outbox.deadLetters.list({ limit })).rejects.toMatchObject({ code: 'invalid-option' })
  }
  expect(await outbox.fetchUnpublished(2.5)).toHaveLength(2)
  expect(await outbox.fetchUnpublished(Number.POSITIVE_INFINITY)).toHaveLength(3)
})

async function startRelay(
  holder: string,
  evict: readonly { holder: string; beat: number }[],
): Promise<readonly Lease[]> {
  await outbox.join({ holder })
  const { leases: claims } = await outbox.poll({ holder })
  return outbox.acquire({ holder, claims, evict })
}

function fetch(leases: readonly Lease[]): Promise<readonly DueEntry[]> {
  return outbox.fetch({ leases, limit: 2000, limitPerAggregate: 2000, maxBytes: 1_000_000 })
}

function commit(aggregateId: string, count: number): void {
  const events = Array.from({ length: count }, () => ({ type: 'order.placed', aggregateId, payload: {} }))
  file.db.transaction((tx) => outbox.enqueue(tx, events))
}
