import { event } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { memoryInbox, memoryOutbox } from '../src/index.ts'
import { manualClock } from './manual-clock.ts'

const invoice = event('invoice.sent', { aggregateId: '7', payload: {} })

describe('memoryInbox', () => {
  it('marks in the transaction in which the handler enqueues', async () => {
    const outbox = memoryOutbox()
    const inbox = memoryInbox({ outbox })
    const deliver = (fails: boolean): Promise<boolean> =>
      outbox.transaction((tx) =>
        inbox.once(tx, 'billing', 'm-1', async () => {
          await outbox.enqueue(tx, invoice)
          if (fails) throw new Error('no connection to the printer')
        }),
      )
    await expect(deliver(true)).rejects.toThrow('printer')
    expect(outbox.length).toBe(0)
    expect(await deliver(false)).toBe(true)
    expect(await deliver(false)).toBe(false)
    expect(outbox.length).toBe(1)
  })

  it('is the same inbox whenever it is made of the same outbox, and another one of another', async () => {
    const outbox = memoryOutbox()
    const other = memoryOutbox()
    const deliver = (to: typeof outbox): Promise<boolean> =>
      to.transaction((tx) => memoryInbox({ outbox: to }).once(tx, 'billing', 'm-1', () => undefined))
    expect(await deliver(outbox)).toBe(true)
    expect(await deliver(outbox)).toBe(false)
    expect(await deliver(other)).toBe(true)
  })

  it('refuses the transaction of another outbox', async () => {
    const inbox = memoryInbox({ outbox: memoryOutbox() })
    const attempt = memoryOutbox().transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined))
    await expect(attempt).rejects.toMatchObject({ code: 'not-a-transaction', details: { reason: 'wrong-handle' } })
  })

  it('tells a handler that outlives the savepoint in which its message was marked', async () => {
    const outbox = memoryOutbox()
    const inbox = memoryInbox({ outbox })
    const over = Promise.withResolvers<void>()
    await outbox.transaction(async (tx) => {
      let forgotten: Promise<unknown> = Promise.resolve()
      await tx.transaction((savepoint) => {
        forgotten = inbox.once(savepoint, 'billing', 'm-1', () => over.promise)
      })
      over.resolve()
      await expect(forgotten).rejects.toMatchObject({ code: 'not-a-transaction', details: { reason: 'finished' } })
    })
  })

  it('forgets by the clock of its outbox', async () => {
    const clock = manualClock()
    const outbox = memoryOutbox({ clock })
    const inbox = memoryInbox({ outbox })
    const deliver = (messageId: string): Promise<boolean> =>
      outbox.transaction((tx) => inbox.once(tx, 'billing', messageId, () => undefined))
    await deliver('old')
    clock.advance(1000)
    await deliver('young')
    clock.advance(500)
    expect(await inbox.purge({ olderThanMs: 1501, limit: 10 })).toBe(0)
    expect(await inbox.purge({ olderThanMs: 1500, limit: 10 })).toBe(1)
    expect(await deliver('young')).toBe(false)
    expect(await deliver('old')).toBe(true)
  })
})
