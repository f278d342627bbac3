import { type DueEntry, event } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { memoryOutbox, recordingPublisher } from '../src/index.ts'

/** Entries as a store lends them: one for each aggregate id, in that order. */
async function lent(...aggregateIds: readonly string[]): Promise<readonly DueEntry[]> {
  const outbox = memoryOutbox()
  for (const aggregateId of aggregateIds) {
    await outbox.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId, payload: {} })))
  }
  const holder = 'relay'
  await outbox.join({ holder })
  const { leases: free } = await outbox.poll({ holder })
  const leases = await outbox.acquire({ holder, claims: free, evict: [] })
  return outbox.fetch({ leases, limit: 100, limitPerAggregate: 100, maxBytes: 1e6 })
}

const signal = new AbortController().signal

describe('recordingPublisher', () => {
  it('publishes everything without a script, and keeps it in order', async () => {
    const publisher = recordingPublisher()
    const entries = await lent('a', 'a', 'b')
    const outcomes = await publisher.publish(entries, { signal })
    expect(outcomes).toEqual(entries.map(() => ({ status: 'published' })))
    expect(publisher.published).toEqual(entries)
    expect(publisher.sent).toEqual(entries)
  })

  it('lets the script decide entry by entry, and stops an aggregate at its first failure', async () => {
    const error = new Error('refused')
    const publisher = recordingPublisher((entry) =>
      entry.aggregateId === 'a' && entry.sequence === 2 ? { status: 'reject', error } : undefined,
    )
    const entries = await lent('a', 'a', 'a', 'b')
    const outcomes = await publisher.publish(entries, { signal })
    const byPlace = entries.map(({ aggregateId, sequence }, index) => [`${aggregateId}#${sequence}`, outcomes[index]])
    expect(Object.fromEntries(byPlace)).toEqual({
      'a#1': { status: 'published' },
      'a#2': { status: 'reject', error },
      'a#3': { status: 'notSent' },
      'b#1': { status: 'published' },
    })
    expect(publisher.published).toHaveLength(2)
    expect(publisher.sent).toHaveLength(3)
  })

  it('can lose the answer of an entry that has arrived: the next try is a duplicate', async () => {
    let answers = 0
    const publisher = recordingPublisher(() =>
      ++answers === 1 ? { status: 'unknown', error: new Error('no answer'), arrived: true } : undefined,
    )
    const entries = await lent('a')
    expect(await publisher.publish(entries, { signal })).toMatchObject([{ status: 'unknown' }])
    expect(publisher.published).toEqual(entries)
    expect(await publisher.publish(entries, { signal })).toEqual([{ status: 'published', duplicate: true }])
    expect(publisher.published).toEqual(entries)
  })

  it('keeps nothing of an unknown that the script does not let arrive', async () => {
    for (const arrived of [{}, { arrived: false }]) {
      const publisher = recordingPublisher(() => ({ status: 'unknown', error: new Error('no answer'), ...arrived }))
      await publisher.publish(await lent('a'), { signal })
      expect(publisher.published).toEqual([])
    }
  })

  it('rejects as a whole when the script throws, keeping what was published before', async () => {
    const broken = new Error('a bug in the client')
    const publisher = recordingPublisher((entry) => {
      if (entry.sequence === 2) throw broken
      return undefined
    })
    await expect(publisher.publish(await lent('a', 'a'), { signal })).rejects.toBe(broken)
    expect(publisher.published).toHaveLength(1)
  })

  it('waits for a script that waits, until the signal aborts', async () => {
    const controller = new AbortController()
    const publisher = recordingPublisher(() => new Promise(() => undefined))
    const publishing = publisher.publish(await lent('a', 'b'), { signal: controller.signal })
    controller.abort(new Error('no longer wanted'))
    expect(await publishing).toEqual([{ status: 'unknown', error: controller.signal.reason }, { status: 'notSent' }])
  })

  it('keeps repeats when it is told not to deduplicate', async () => {
    const publisher = recordingPublisher(undefined, { deduplicates: false })
    const entries = await lent('a')
    for (let n = 0; n < 2; n++) expect(await publisher.publish(entries, { signal })).toEqual([{ status: 'published' }])
    expect(publisher.published).toHaveLength(2)
    expect(publisher.capabilities.dedupeWindowMs).toBeUndefined()
  })

  it('fences only when it is told to', async () => {
    const [entry] = await lent('a')
    if (!entry) throw new Error('an entry was due')
    const newer = { ...entry, lease: { ...entry.lease, epoch: entry.lease.epoch + 1 } }
    for (const [fences, status] of [
      [true, 'fenced'],
      [false, 'published'],
    ] as const) {
      const publisher = recordingPublisher(undefined, { fences })
      await publisher.publish([newer], { signal })
      expect((await publisher.publish([entry], { signal }))[0]?.status).toBe(status)
    }
  })

  it('is named, and says its limit', () => {
    const publisher = recordingPublisher(undefined, { name: 'orders', maxPayloadBytes: 5 })
    expect(publisher.name).toBe('orders')
    expect(publisher.capabilities.maxPayloadBytes).toBe(5)
  })
})
