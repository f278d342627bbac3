import { event, type LeasedSource, permanent, publisher } from '@outbox/core'
import { createRelay, type RelayOptions } from '@outbox/relay'
import { waitFor } from '@outbox/services'
import type { Shop } from './shop.ts'

const poison = { type: 'order.poisoned', aggregateId: 'bad', payload: {} }

const change = (aggregateId: string) => ({ type: 'order.changed', aggregateId, payload: {} })

/** Publishes what is due, with a broker that never takes the poison; the aggregate of the poison stands still. */
export async function drain(store: RelayOptions['store']): Promise<number> {
  const broker = publisher({
    name: 'picky',
    send: ({ eventType }) => {
      if (eventType === poison.type) throw permanent('refused on purpose')
    },
  })
  const { published } = await createRelay({ store, publisher: broker, onDead: 'block' }).tick()
  return published
}

/** Publishes what is due as a relay would, step by step: how many steps it takes depends on no clock. */
export async function drainByHand(store: LeasedSource): Promise<number> {
  const holder = 'by hand'
  await store.join({ holder })
  const { leases: claims } = await store.poll({ holder })
  const leases = await store.acquire({ holder, claims, evict: [] })
  let published = 0
  for (;;) {
    const due = await store.fetch({ leases, limit: 500, limitPerAggregate: 50, maxBytes: 16 * 1024 * 1024 })
    if (due.length === 0) return published
    await store.settle({ leases, settlements: due.map((entry) => ({ entry, outcome: 'published' })) })
    published += due.length
  }
}

/** One aggregate stands still, with `backlog` entries behind the one that blocks it. */
export async function blockWithBacklog(shop: Shop, backlog: number): Promise<void> {
  await shop.db.transaction(async (tx) => {
    await shop.outbox.enqueue(tx, event(poison.type, poison))
    for (let written = 0; written < backlog; written += 10_000) {
      await shop.outbox.enqueue(
        tx,
        Array.from({ length: 10_000 }, () => change('bad')),
      )
    }
  })
  await waitFor(
    async () => {
      await drain(shop.outbox)
      const [row] = await shop.query(`select count(*)::int as n from outbox_entries where state = 'pending'`)
      return row?.['n'] === 0
    },
    { what: 'the backlog to leave the scanned index', timeoutMs: 240_000 },
  )
}

/** Entries of many other aggregates, in one transaction; the table is as tidy as autovacuum would leave it. */
export async function enqueueOthers(shop: Shop, count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, index) => change(`order-${index % 500}`))
  await shop.db.transaction((tx) => shop.outbox.enqueue(tx, events))
  await shop.query('vacuum analyze outbox_entries')
}
