import { event, OutboxError } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { type MemoryOutbox, type MemoryTransaction, memoryInbox, memoryOutbox } from '../src/index.ts'

const placed = (aggregateId: string) => event('order.placed', { aggregateId, payload: {} })

/** A transaction that has enqueued for an aggregate, and stays open: others wait for it. */
function holdsAggregate(outbox: MemoryOutbox, aggregateId: string): { commit(): Promise<void> } {
  let end: () => void = () => undefined
  const ending = new Promise<void>((resolve) => {
    end = resolve
  })
  const transaction = outbox.transaction(async (tx) => {
    await outbox.enqueue(tx, placed(aggregateId))
    await ending
  })
  return {
    commit() {
      end()
      return transaction
    },
  }
}

describe('a transaction', () => {
  it('gives what its callback gave, and rejects with what it threw', async () => {
    const outbox = memoryOutbox()
    expect(await outbox.transaction(() => 7)).toBe(7)
    const broken = new Error('broken')
    await expect(outbox.transaction(() => Promise.reject(broken))).rejects.toBe(broken)
  })

  it('of another outbox is refused by name', async () => {
    const outbox = memoryOutbox()
    const other = memoryOutbox()
    const attempt = other.transaction((tx) => outbox.enqueue(tx, placed('a')))
    await expect(attempt).rejects.toMatchObject({ code: 'not-a-transaction', details: { reason: 'wrong-handle' } })
    await expect(attempt).rejects.toThrow('Use the handle that `outbox.transaction((tx) => …)` passes to its callback')
  })

  it('that has ended is refused with a hint at the forgotten await', async () => {
    const outbox = memoryOutbox()
    let kept: MemoryTransaction | undefined
    await outbox.transaction((tx) => {
      kept = tx
    })
    if (!kept) throw new Error('the callback was not called')
    await expect(outbox.enqueue(kept, placed('a'))).rejects.toThrow('await what writes before the callback returns')
    await expect(kept.transaction(() => undefined)).rejects.toMatchObject({ details: { reason: 'finished' } })
  })

  it('refuses the handle of a savepoint that has ended', async () => {
    const outbox = memoryOutbox()
    await outbox.transaction(async (tx) => {
      let kept: MemoryTransaction | undefined
      await tx.transaction((inner) => {
        kept = inner
      })
      if (!kept) throw new Error('the callback was not called')
      await expect(outbox.enqueue(kept, placed('a'))).rejects.toMatchObject({ code: 'not-a-transaction' })
    })
    expect(outbox.isEmpty).toBe(true)
  })

  it('that ends while its enqueue still waits for another writes nothing, and keeps nobody waiting', async () => {
    const outbox = memoryOutbox()
    const holder = holdsAggregate(outbox, 'a')
    let forgotten: Promise<unknown> = Promise.resolve()
    await outbox.transaction((tx) => {
      forgotten = outbox.enqueue(tx, placed('a')).catch((error: unknown) => error)
    })
    expect(OutboxError.is(await forgotten, 'not-a-transaction')).toBe(true)
    await holder.commit()
    await outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))
    expect((await outbox.fetchUnpublished(10)).map(({ sequence }) => sequence)).toEqual([1, 2])
  })

  it('that ends while several of its calls wait for another refuses them all, and keeps nobody waiting', async () => {
    const outbox = memoryOutbox()
    const holder = holdsAggregate(outbox, 'a')
    let forgotten: Promise<PromiseSettledResult<unknown>[]> = Promise.resolve([])
    await outbox.transaction((tx) => {
      forgotten = Promise.allSettled([outbox.enqueue(tx, placed('a')), outbox.enqueue(tx, placed('a'))])
    })
    const refused = { status: 'rejected', reason: { code: 'not-a-transaction' } }
    expect(await forgotten).toMatchObject([refused, refused])
    await holder.commit()
    expect(await outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))).toMatchObject([{ sequence: 2 }])
  })

  it('that was told busy is of no more use, though its callback goes on: nothing of it is committed', async () => {
    const outbox = memoryOutbox({ onConflict: 'busy' })
    const inbox = memoryInbox({ outbox })
    const holder = holdsAggregate(outbox, 'a')
    const busy = { code: 'busy' }
    const attempt = outbox.transaction(async (tx) => {
      await outbox.enqueue(tx, placed('b'))
      await expect(tx.transaction((inner) => outbox.enqueue(inner, placed('a')))).rejects.toMatchObject(busy)
      await expect(outbox.enqueue(tx, placed('c'))).rejects.toMatchObject(busy)
      await expect(inbox.once(tx, 'billing', 'm-1', () => undefined)).rejects.toMatchObject(busy)
      await expect(tx.transaction(() => undefined)).rejects.toMatchObject(busy)
    })
    await expect(attempt).rejects.toMatchObject(busy)
    await holder.commit()
    expect((await outbox.fetchUnpublished(10)).map(({ aggregateId }) => aggregateId)).toEqual(['a'])
    expect(await outbox.transaction((tx) => outbox.enqueue(tx, placed('a')))).toMatchObject([{ sequence: 2 }])
  })

  it('that was told of a conflict of sequences goes on without what was refused', async () => {
    const outbox = memoryOutbox()
    const numbered = (sequence: number) => event('account.opened', { aggregateId: 'a', payload: {}, sequence })
    await outbox.transaction((tx) => outbox.enqueue(tx, numbered(1)))
    await outbox.transaction(async (tx) => {
      await expect(outbox.enqueue(tx, numbered(1))).rejects.toMatchObject({ code: 'sequence-conflict' })
      await outbox.enqueue(tx, numbered(2))
    })
    expect((await outbox.fetchUnpublished(10)).map(({ sequence }) => sequence)).toEqual([1, 2])
  })

  it('may run two enqueues at once: a deadlock through the queue of a lock is noticed too', async () => {
    const outbox = memoryOutbox()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 6 }, (_, n) =>
        outbox.transaction(async (tx) => {
          const names = ['a', 'b', 'c', 'd']
          const turned = [...names.slice(n % 4), ...names.slice(0, n % 4)]
          await Promise.all(turned.map((name) => outbox.enqueue(tx, placed(name))))
        }),
      ),
    )
    const committed = outcomes.filter(({ status }) => status === 'fulfilled').length
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(OutboxError.is(outcome.reason, 'busy')).toBe(true)
    }
    expect(committed).toBeGreaterThan(0)
    expect(outbox.length).toBe(committed * 4)
  })
})
