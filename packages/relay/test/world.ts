import { type DueEntry, event, type Publisher } from '@outbox/core'
import { type MemoryOutbox, memoryOutbox } from '@outbox/memory'
import { createRelay, type Relay, type RelayOptions } from '../src/index.ts'
import { Journal } from './journal.ts'
import { ManualClock } from './manual-clock.ts'
import { StoreProbe } from './store-probe.ts'

/** A relay under test, what it tells, and what stands between it and the store. */
export interface TestRelay {
  readonly relay: Relay
  readonly journal: Journal
  readonly probe: StoreProbe
}

/** One outbox under one clock that the test turns, and relays on it. */
export class World {
  readonly clock: ManualClock = new ManualClock()
  readonly store: MemoryOutbox = memoryOutbox({ clock: this.clock })
  #relays = 0

  /** Jitter is fixed at its middle; holders are named relay-1, relay-2 and so on. */
  relay(publisher: Publisher, options: Partial<RelayOptions> = {}): TestRelay {
    const journal = new Journal()
    const probe = new StoreProbe(this.store)
    const number = ++this.#relays
    let incarnation = 0
    const relay = createRelay({
      store: probe.source,
      publisher,
      on: journal.on,
      clock: this.clock,
      random: () => 0.5,
      newHolder: () => `relay-${number}.${++incarnation}`,
      ...options,
    })
    return { relay, journal, probe }
  }

  /** Commits one event for each aggregate id, in one transaction. */
  async enqueue(...aggregateIds: readonly string[]): Promise<void> {
    await this.store.transaction((tx) =>
      this.store.enqueue(
        tx,
        aggregateIds.map((aggregateId) => event('order.placed', { aggregateId, payload: {} })),
      ),
    )
  }

  async deadReasons(): Promise<readonly string[]> {
    return (await this.store.deadLetters.list({ limit: 1_000 })).map(({ reason }) => reason)
  }
}

/** `a 1`: the aggregate and the sequence, the shortest that names an entry for a person. */
export function named({ aggregateId, sequence }: Pick<DueEntry, 'aggregateId' | 'sequence'>): string {
  return `${aggregateId} ${sequence}`
}

export function names(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}
