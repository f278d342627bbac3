import type { LeasedSource } from '@outbox/core'
import { expect } from 'vitest'
import { type OutboxContext, producerOf, type Reading, unpublished } from '../outbox/context.ts'
import type { StoreHarness } from './harness.ts'
import { dead, startRelay } from './test-relay.ts'

/** One fresh outbox and what checks do with it: what they do with the trait alone, and the leases. */
export interface StoreContext extends OutboxContext {
  readonly store: LeasedSource
  /** The same outbox as another process sees it. */
  peer(): Promise<LeasedSource>
}

/** Opens what the harness has, runs one check, and closes everything, whatever happens. */
export async function withStoreContext<Tx>(
  harness: StoreHarness<Tx>,
  work: (context: StoreContext) => Promise<void>,
): Promise<void> {
  const opened = await harness.open()
  const { store } = opened
  const { producer, end } = producerOf(store, opened, harness.capabilities)
  try {
    await work({
      ...producer,
      outbox: store,
      store,
      peer: () => opened.peer(),
      async expectEmpty() {
        expect(await store.fetchUnpublished(1000)).toEqual([])
        expect(await store.stats()).toEqual({ pending: 0, dead: 0, oldestPendingAgeMs: null, partitions: [] })
      },
      readings: () => readings(store),
    })
  } finally {
    await end()
    await opened.close()
  }
}

/** As the trait gives them, as they are lent, and as dead letters, which they are afterwards. */
async function readings(store: LeasedSource): Promise<readonly Reading[]> {
  const ofTheTrait = await unpublished(store)
  const relay = await startRelay(store)
  const lent = await relay.fetch()
  await relay.settle(lent.map((entry) => dead(entry, 'skip')))
  const letters = await store.deadLetters.list({ limit: 1000 })
  return [
    ofTheTrait,
    { way: 'fetch', entries: lent },
    { way: 'dead letter', entries: letters.map(({ entry }) => entry) },
  ]
}
