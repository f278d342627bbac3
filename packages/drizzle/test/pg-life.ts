import { limits } from '@outbox/core'
import { type PgOutboxOptions, type Place, pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { expect } from 'vitest'
import type { TestDatabase } from './pg-connections.ts'

/** What an odd session is likely to misread: quotes and backslashes, the largest numbers, milliseconds, half hours. */
const aggregateId = `it's \\ "odd" {1,2} NULL $1 ☃ ${'x'.repeat(40)}`
const payload = { text: "\\' \\\\ \u0000 \n ü", number: 0.1 }
const occurredAt = new Date('1999-12-31T23:59:59.997Z')
const sequence = Number.MAX_SAFE_INTEGER

/**
 * Everything that an outbox and an inbox do, once, on a database whose sessions may be as odd as they like.
 *
 * What goes in comes out to the byte and to the millisecond.
 */
export async function liveWholeLife(
  db: TestDatabase,
  options: Omit<PgOutboxOptions, 'db'> & Place = {},
): Promise<void> {
  const { schema, prefix } = options
  const place = { ...(schema && { schema }), ...(prefix && { prefix }) }
  await setup(db, place)
  await setupInbox(db, place)
  const outbox = pgOutbox({ db, notify: 'off', ...options })
  const inbox = pgInbox({ db, ...place })
  await outbox.check()
  await inbox.check()

  const event = { type: 'odd.happened', aggregateId, payload, occurredAt, sequence, headers: { tenant: "a'b\\" } }
  const enqueue = () =>
    db.transaction((tx) => outbox.enqueue(tx, [event, { type: 'order.placed', aggregateId: '1', payload: {} }]))
  expect(await enqueue()).toMatchObject([{ sequence }, { sequence: 1 }])
  await expect(enqueue()).rejects.toMatchObject({ code: 'sequence-conflict', details: { aggregateId, sequence } })

  await outbox.join({ holder: 'h' })
  const { leases: claims, duePartitions } = await outbox.poll({ holder: 'h' })
  expect(duePartitions.length).toBeGreaterThan(0)
  const leases = await outbox.acquire({
    holder: 'h',
    claims: claims.map((claim) => ({ ...claim, above: 2 ** 51 })),
    evict: [],
  })
  expect(leases[63]).toEqual({ partition: 63, epoch: 2 ** 51 + 1, holder: 'h', hasSuspects: false })
  const due = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: limits.payloadBytes })
  const lent = due.find((entry) => entry.aggregateId === aggregateId)
  const { headers } = event
  expect(lent).toMatchObject({ sequence, payload: JSON.stringify(payload), occurredAt, headers })

  const settlements = due.map(
    (entry) => ({ entry, outcome: 'dead', reason: "it's \\", blocksAggregate: true }) as const,
  )
  const began = Date.now()
  expect(await outbox.settle({ leases, settlements })).toEqual({ lost: [] })
  const [letter, ...others] = await outbox.deadLetters.list({ limit: 10, where: { aggregateId } })
  expect(others).toEqual([])
  expect(letter).toMatchObject({ reason: "it's \\", holder: 'h', entry: { aggregateId, sequence, occurredAt } })
  // the server runs on this machine: another time zone would be off by minutes at least
  const diedAt = letter?.diedAt ?? new Date(0)
  expect(Math.abs(diedAt.getTime() - began)).toBeLessThan(60_000)
  expect(await outbox.deadLetters.list({ limit: 10, where: { diedBefore: diedAt, aggregateId } })).toEqual([])
  expect(await outbox.deadLetters.requeueAll({ diedBefore: new Date(diedAt.getTime() + 1), aggregateId })).toBe(1)
  expect(await outbox.deadLetters.discardAll({})).toBe(due.length - 1)
  const { oldestPendingAgeMs, partitions } = await outbox.stats()
  expect(oldestPendingAgeMs).toBeLessThan(60_000)
  expect(partitions).toHaveLength(1)

  const again = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: limits.payloadBytes })
  expect(again).toMatchObject([{ aggregateId, attempt: 1, deduplicationId: `${lent?.id}#1` }])
  await outbox.settle({ leases, settlements: again.map((entry) => ({ entry, outcome: 'published' })) })
  await outbox.release({ holder: 'h', leases, leave: true })
  expect(await outbox.purge({ olderThanMs: 3_600_000, limit: 10 })).toBe(0)
  expect(await outbox.purge({ olderThanMs: 0, limit: 10 })).toBe(due.length)

  const deliver = () => db.transaction((tx) => inbox.once(tx, "bil'ling\\", aggregateId, () => undefined))
  expect([await deliver(), await deliver()]).toEqual([true, false])
  expect(await inbox.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
}
