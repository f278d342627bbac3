import { type Enqueue, entryFromEnvelope, event } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { memoryOutbox, recordingOutbox } from '../src/index.ts'

interface SomeTransaction {
  readonly query: (text: string) => Promise<void>
}

class Orders {
  readonly outbox: Enqueue<SomeTransaction>

  constructor(outbox: Enqueue<SomeTransaction>) {
    this.outbox = outbox
  }

  async place(tx: SomeTransaction, id: string): Promise<void> {
    await this.outbox.enqueue(tx, event('order.placed', { aggregateId: id, payload: { id } }))
  }
}

const tx: SomeTransaction = { query: async () => undefined }

describe('recordingOutbox', () => {
  it('fits code that asks for the outbox of any database, and keeps its events as they were given', async () => {
    const outbox = recordingOutbox()
    await new Orders(outbox).place(tx, '7')
    expect(outbox.events).toEqual([event('order.placed', { aggregateId: '7', payload: { id: '7' } })])
    expect(outbox.entries).toMatchObject([{ eventType: 'order.placed', sequence: 1, payload: '{"id":"7"}' }])
  })

  it('is what such code is tested with: the memory store takes transactions of its own only, and does not compile', () => {
    // @ts-expect-error a MemoryTransaction is no transaction of another database
    const orders = new Orders(memoryOutbox())
    expect(orders).toBeDefined()
  })

  it('keeps what was given then, whatever becomes of it', async () => {
    const outbox = recordingOutbox()
    const payload = { lines: [{ price: 1 }], at: new Date(0) }
    const given = { ...event('order.placed', { aggregateId: '7', payload }), headers: { tenant: 'blue' } }
    outbox.enqueue(tx, given)
    payload.lines.push({ price: 2 })
    payload.at.setTime(1)
    given.headers.tenant = 'red'
    expect(outbox.events).toEqual([
      {
        ...event('order.placed', { aggregateId: '7', payload: { lines: [{ price: 1 }], at: new Date(0) } }),
        headers: { tenant: 'blue' },
      },
    ])
  })

  it('hands out receipts like a store: numbered per aggregate, duplicates named', () => {
    const outbox = recordingOutbox()
    const id = crypto.randomUUID()
    const first = event('order.placed', { aggregateId: 'a', id, payload: {} })
    const second = event('order.paid', { aggregateId: 'a', payload: {} })
    expect(outbox.enqueue(tx, [first, second])).toMatchObject([{ id, sequence: 1 }, { sequence: 2 }])
    expect(outbox.enqueue(tx, first)).toEqual([{ id, sequence: 1, duplicate: true }])
    expect(outbox.events).toEqual([first, second])
  })

  it('knows an id again whatever the rest of the event says, also how it is numbered', () => {
    const outbox = recordingOutbox()
    const id = crypto.randomUUID()
    outbox.enqueue(tx, event('account.credited', { aggregateId: 'a', sequence: 5, id, payload: {} }))
    const again = outbox.enqueue(tx, event('account.credited', { aggregateId: 'a', id, payload: {} }))
    expect(again).toEqual([{ id, sequence: 5, duplicate: true }])
  })

  it('refuses what a store refuses, and keeps nothing of the batch', () => {
    const outbox = recordingOutbox()
    const good = event('order.placed', { aggregateId: 'a', payload: {} })
    const lossy: unknown = { n: 1n }
    expect(() => outbox.enqueue(tx, [good, { ...good, payload: lossy }])).toThrow('payload.n: JSON has no BigInt')
    outbox.enqueue(tx, { ...good, sequence: 3 })
    expect(() => outbox.enqueue(tx, { ...good, sequence: 3 })).toThrow("Sequence 3 of order 'a' is taken")
    expect(() => outbox.enqueue(tx, good)).toThrow("Events of aggregate type 'order' come with and without a sequence")
    expect(outbox.events).toHaveLength(1)
  })

  it('shows an event-sourced entry as an event', () => {
    const outbox = recordingOutbox()
    const occurredAt = new Date('2025-01-01T00:00:00Z')
    const id = crypto.randomUUID()
    const { eventId, eventType, ...rest } = {
      ...{ eventId: id, eventType: 'account.credited', aggregateType: 'account', aggregateId: 'a', sequence: 4 },
      ...{ occurredAt, payload: { cents: 5 } },
    }
    outbox.enqueue(tx, entryFromEnvelope({ eventId, eventType, ...rest }))
    expect(outbox.events).toEqual([{ id, type: 'account.credited', headers: {}, ...rest }])
  })

  it('can be relayed like any outbox', async () => {
    const outbox = recordingOutbox()
    const [receipt] = outbox.enqueue(tx, event('order.placed', { aggregateId: 'a', payload: {} }))
    expect(await outbox.fetchUnpublished(10)).toMatchObject([{ id: receipt?.id, published: false }])
    await outbox.markPublished([receipt?.id ?? ''])
    expect(await outbox.fetchUnpublished(10)).toEqual([])
    expect(outbox.entries).toMatchObject([{ published: true, publishedAt: expect.any(Date) }])
  })

  it('cannot be changed through what it shows', () => {
    const outbox = recordingOutbox()
    outbox.enqueue(tx, event('order.placed', { aggregateId: 'a', payload: {} }))
    const shown = [outbox.events, outbox.entries] as unknown as unknown[][] // read-only to the compiler
    for (const list of shown) list.length = 0
    expect([outbox.events.length, outbox.entries.length]).toEqual([1, 1])
  })
})
