import { event, OutboxError } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { type MemoryOutbox, memoryOutbox } from '../src/index.ts'
import { manualClock } from './manual-clock.ts'

const placed = (aggregateId: string) => event('order.placed', { aggregateId, payload: {} })

async function lend(outbox: MemoryOutbox) {
  const holder = crypto.randomUUID()
  await outbox.join({ holder })
  const { leases: free } = await outbox.poll({ holder })
  const leases = await outbox.acquire({ holder, claims: free, evict: [] })
  const fetch = () => outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1e6 })
  return { leases, fetch }
}

describe('memoryOutbox', () => {
  it('counts what is still to be published', async () => {
    const outbox = memoryOutbox()
    expect([outbox.length, outbox.isEmpty]).toEqual([0, true])
    const [first] = await outbox.transaction((tx) => outbox.enqueue(tx, [placed('a'), placed('b')]))
    expect([outbox.length, outbox.isEmpty]).toEqual([2, false])
    await outbox.markPublished([first?.id ?? ''])
    expect([outbox.length, outbox.isEmpty]).toEqual([1, false])
  })

  it('is empty when all that is left is dead', async () => {
    const outbox = memoryOutbox()
    await outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))
    const { leases, fetch } = await lend(outbox)
    const [entry] = await fetch()
    if (!entry) throw new Error('an entry was due')
    const settlement = { entry, outcome: 'dead', reason: 'poison', blocksAggregate: true } as const
    await outbox.settle({ leases, settlements: [settlement] })
    expect([outbox.length, outbox.isEmpty]).toEqual([0, true])
  })

  it('measures waiting, ages and purging with the clock that it is given', async () => {
    const clock = manualClock()
    const outbox = memoryOutbox({ clock })
    await outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))
    const { leases, fetch } = await lend(outbox)
    const [entry] = await fetch()
    if (!entry) throw new Error('an entry was due')
    const retry = { entry, outcome: 'retry', retryInMs: 500, isRefusal: true, reason: 'refused' } as const
    await outbox.settle({ leases, settlements: [retry] })
    clock.advance(499)
    expect(await fetch()).toEqual([])
    clock.advance(1)
    const [again] = await fetch()
    expect(again?.attempt).toBe(2)
    expect((await outbox.stats()).oldestPendingAgeMs).toBe(500)
    await outbox.settle({ leases, settlements: again ? [{ entry: again, outcome: 'published' }] : [] })
    clock.advance(59)
    expect(await outbox.purge({ olderThanMs: 60, limit: 10 })).toBe(0)
    clock.advance(1)
    expect(await outbox.purge({ olderThanMs: 60, limit: 10 })).toBe(1)
  })

  it('takes ids and dates from where it is told', async () => {
    const now = Date.parse('2025-01-02T03:04:05.006Z')
    const outbox = memoryOutbox({ ids: { now: () => now, random: (bytes) => bytes.fill(7) } })
    await outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))
    const [entry] = await outbox.fetchUnpublished(1)
    expect(entry?.occurredAt).toEqual(new Date(now))
    expect(entry?.id.replaceAll('-', '').slice(0, 12)).toBe(now.toString(16).padStart(12, '0'))
  })

  it('takes payloads up to the limit that it is given', async () => {
    const outbox = memoryOutbox({ maxPayloadBytes: 10 })
    const sized = (payload: string) => event('order.placed', { aggregateId: 'a', payload })
    await outbox.transaction((tx) => outbox.enqueue(tx, sized('12345678')))
    const tooLarge = outbox.transaction((tx) => outbox.enqueue(tx, sized('123456789')))
    await expect(tooLarge).rejects.toThrow('payload: is 11 bytes of JSON; the limit is 10')
  })

  it('refuses a limit that is no number of bytes, and says what to write', () => {
    expect(() => memoryOutbox({ maxPayloadBytes: 0 })).toThrow(
      'memoryOutbox: maxPayloadBytes is 0: write a whole number from 1 on.',
    )
    expect(() => memoryOutbox({ maxPayloadBytes: Number.NaN })).toThrow(OutboxError)
  })

  it('wakes its subscribers after a commit that enqueued something, and after a requeue; not otherwise', async () => {
    const outbox = memoryOutbox()
    const seen: number[] = []
    const subscription = await outbox.subscribe?.(() => seen.push(outbox.length))
    await outbox.transaction(() => undefined)
    await outbox
      .transaction(async (tx) => {
        await outbox.enqueue(tx, placed('a'))
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    expect(seen).toEqual([])
    await outbox.transaction((tx) => outbox.enqueue(tx, [placed('a'), placed('b')]))
    expect(seen).toEqual([2])
    await subscription?.[Symbol.asyncDispose]()
    await outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))
    expect(seen).toEqual([2])
  })

  it('keeps its positions when a transaction that came first commits last', async () => {
    const outbox = memoryOutbox()
    const late = await new Promise<{ readonly commit: () => Promise<unknown> }>((resolve) => {
      let end: () => void = () => undefined
      const ending = new Promise<void>((resolveEnding) => {
        end = resolveEnding
      })
      const done = outbox.transaction(async (tx) => {
        await outbox.enqueue(tx, placed('first'))
        resolve({
          commit: () => {
            end()
            return done
          },
        })
        await ending
      })
    })
    await outbox.transaction((tx) => outbox.enqueue(tx, placed('second')))
    await late.commit()
    expect((await outbox.fetchUnpublished(10)).map(({ aggregateId }) => aggregateId)).toEqual(['first', 'second'])
  })

  it("tells conflicts at once with onConflict: 'busy', and takes the transaction when it is run again", async () => {
    const outbox = memoryOutbox({ onConflict: 'busy' })
    const place = () => outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))
    await outbox.transaction(async (tx) => {
      await outbox.enqueue(tx, placed('a'))
      await expect(place()).rejects.toMatchObject({ code: 'busy', isRetryable: true })
    })
    expect(await place()).toMatchObject([{ sequence: 2 }])
  })

  it('knows an id again, also where the type is numbered the other way', async () => {
    const store = memoryOutbox()
    const id = crypto.randomUUID()
    const account = { type: 'account.credited', aggregateId: 'a', payload: {} }
    await store.transaction((tx) => store.enqueue(tx, { ...account, sequence: 5, id }))
    const again = await store.transaction((tx) => store.enqueue(tx, { ...account, id }))
    expect(again).toEqual([{ id, sequence: 5, duplicate: true }])
  })

  it('knows an id in capitals', async () => {
    const outbox = memoryOutbox()
    const id = crypto.randomUUID()
    await outbox.transaction((tx) => outbox.enqueue(tx, { ...placed('a'), id }))
    await outbox.markPublished([id.toUpperCase()])
    expect(outbox.isEmpty).toBe(true)
  })

  it('refuses options that cannot work', () => {
    // `as`: this stands in for a caller whom the compiler does not check
    const options = [{ onConflict: 'retry' as 'wait' }, { maxPayloadBytes: 0 }, { maxPayloadBytes: 1.5 }]
    for (const each of options) {
      const [option] = Object.keys(each)
      expect(() => memoryOutbox(each)).toThrow(expect.objectContaining({ code: 'invalid-option', details: { option } }))
    }
  })
})
