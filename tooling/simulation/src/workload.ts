import { event, OutboxError, partitionOf, type Receipt } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { MemoryOutbox, MemoryTransaction } from '@outbox/memory'
import type { Poison } from './broker.ts'
import type { Chance } from './chance.ts'
import type { EntryName, History } from './history.ts'
import type { Ledger } from './ledger.ts'
import type { Plan } from './plan.ts'
import type { Timeline } from './timeline.ts'

/** An aggregate; some are numbered by the store, some by the producer, as an event-sourced one is. */
interface Aggregate {
  readonly type: 'order' | 'account'
  readonly id: string
  nextSequence: number
  /** a producer that numbers it has a transaction open: others would meet a conflict, and try another */
  isTaken: boolean
}

const rolledBack = new Error('rolled back on purpose')

/** Producers: transactions that write events, take their time, and are sometimes rolled back. */
export class Workload {
  readonly #plan: Plan
  readonly #outbox: MemoryOutbox
  readonly #timeline: Timeline
  readonly #history: History
  readonly #ledger: Ledger
  readonly #chance: Chance
  readonly #poison: Map<string, Poison>
  readonly #aggregates: readonly Aggregate[]
  #written = 0

  constructor(
    plan: Plan,
    world: {
      readonly outbox: MemoryOutbox
      readonly timeline: Timeline
      readonly history: History
      readonly ledger: Ledger
      readonly chance: Chance
      readonly poison: Map<string, Poison>
    },
  ) {
    this.#plan = plan
    this.#outbox = world.outbox
    this.#timeline = world.timeline
    this.#history = world.history
    this.#ledger = world.ledger
    this.#chance = world.chance
    this.#poison = world.poison
    this.#aggregates = Array.from({ length: plan.aggregates }, (_, index) => ({
      type: index % 3 === 2 ? 'account' : 'order',
      id: `${index}`,
      nextSequence: 1,
      isTaken: false,
    }))
  }

  /** Resolves when all producers are done. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.#plan.producers }, () => this.#produce(this.#chance.fork())))
  }

  async #produce(chance: Chance): Promise<void> {
    const transactions = (this.#plan.entries / 2 / this.#plan.producers) | 0
    const pauseMs = this.#plan.stormMs / Math.max(1, transactions)
    while (this.#written < this.#plan.entries) {
      await this.#timeline.wait(chance.fraction() * 2 * pauseMs)
      await this.#transaction(chance)
    }
  }

  async #transaction(chance: Chance): Promise<void> {
    const aggregates = [...new Set(Array.from({ length: chance.between(1, 3) }, () => chance.pick(this.#aggregates)))]
    const mine = aggregates.filter((aggregate) => aggregate.type === 'order' || !aggregate.isTaken)
    for (const aggregate of mine) aggregate.isTaken = true
    const names: EntryName[] = []
    try {
      await this.#outbox.transaction(async (tx) => {
        for (const aggregate of mine) {
          names.push(...(await this.#enqueue(tx, aggregate, chance)))
          if (chance.happens(0.3)) await this.#timeline.wait(chance.latency(chance.pick([1, 100, 2_000])))
        }
        if (chance.happens(this.#plan.rollbackProbability)) throw rolledBack
      })
      this.#history.record({ kind: 'committed', entries: names })
      for (const name of names) this.#ledger.commit(name)
      for (const name of names) {
        const aggregate = mine.find(
          ({ type, id }) => name.aggregate === aggregateKey({ aggregateType: type, aggregateId: id }),
        )
        if (aggregate) aggregate.nextSequence = Math.max(aggregate.nextSequence, name.sequence + 1)
      }
    } catch (error) {
      this.#history.record({ kind: 'rolledBack', entries: names })
      if (error !== rolledBack && !OutboxError.is(error, 'busy')) throw error
    } finally {
      for (const aggregate of mine) aggregate.isTaken = false
    }
  }

  async #enqueue(tx: MemoryTransaction, aggregate: Aggregate, chance: Chance): Promise<EntryName[]> {
    const { type, id, nextSequence } = aggregate
    const events = Array.from({ length: chance.between(1, 4) }, (_, index) =>
      event(`${type}.changed`, {
        aggregateId: id,
        payload: { index },
        ...(type === 'account' && { sequence: nextSequence + index }),
      }),
    )
    this.#written += events.length
    // the order in the array means nothing where the caller gives the numbers
    const receipts = await this.#outbox.enqueue(
      tx,
      type === 'account' && chance.happens(0.5) ? events.reverse() : events,
    )
    return receipts.map(({ id: entryId, sequence }: Receipt) => {
      this.#poisonPerhaps(entryId, chance)
      return {
        id: entryId,
        aggregate: aggregateKey({ aggregateType: type, aggregateId: id }),
        sequence,
        partition: partitionOf(type, id),
      }
    })
  }

  #poisonPerhaps(id: string, chance: Chance): void {
    const { rejected, deadly } = this.#plan.poison
    if (chance.happens(rejected)) this.#poison.set(id, 'rejected')
    else if (chance.happens(deadly)) this.#poison.set(id, 'deadly')
  }
}
