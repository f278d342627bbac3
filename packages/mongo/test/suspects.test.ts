import { event, partitionOf } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { expect, it } from 'vitest'
import { openDriver7, transaction } from './mongo-databases.ts'
import { takeOver } from './one-lease.ts'

const limits = { limit: 10, limitPerAggregate: 10, maxBytes: 1e6 }
const place = ({ aggregateId, sequence }: { readonly aggregateId: string; readonly sequence: number }): string =>
  `${aggregateId}#${sequence}`

describeWith('mongo', 'entries that relays may have died of', () => {
  it('are lent alone, the oldest first of those that come first in their aggregates', async () => {
    await using opened = openDriver7(await sharedMongo())
    await setup(opened.db)
    const store = mongoOutbox(opened)
    const beside = Array.from({ length: 1_000 }, (_, n) => `beside-${n}`).find(
      (id) => partitionOf('order', id) === partitionOf('order', 'a'),
    )
    if (beside === undefined) throw new Error('none of a thousand orders is beside the order a')
    const numbered = [
      ['a', 4],
      [beside, 1],
      ['a', 1],
    ] as const
    for (const [aggregateId, sequence] of numbered) {
      const placed = event('order.placed', { aggregateId, sequence, payload: {} })
      await transaction(opened.client, (session) => store.enqueue(session, placed))
    }
    let relay = await takeOver(store)
    for (const _ of ['the first', 'the second']) {
      expect(await store.fetch({ leases: relay.leases, ...limits })).toHaveLength(3)
      relay = await takeOver(store, relay)
    }
    const lent: string[] = []
    for (const _ of numbered) {
      const alone = await store.fetch({ leases: relay.leases, ...limits })
      lent.push(alone.map(place).join())
      await store.settle({
        leases: relay.leases,
        settlements: alone.map((entry) => ({ entry, outcome: 'published' })),
      })
    }
    // a#4 came before all others, and waits behind a#1
    expect(lent).toEqual([`${beside}#1`, 'a#1', 'a#4'])
  })
})
