import { type DueEntry, OutboxError, type Publisher, type PublishOutcome } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { Chance } from './chance.ts'
import type { Database } from './database.ts'
import type { Arrival, History } from './history.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import type { Plan } from './plan.ts'
import type { Timeline } from './timeline.ts'

/** What an entry does to whoever publishes it. */
export type Poison = 'rejected' | 'deadly'

export interface Message {
  readonly id: string
  readonly aggregate: string
  readonly sequence: number
  readonly epoch: number
}

/** The broker: one for all machines. It keeps a log, drops repeats and refuses old owners as far as the plan says. */
export class Broker {
  readonly log: Message[] = []
  refusalProbability = 0
  isFull = false
  readonly #options: Plan['broker']
  readonly #timeline: Timeline
  readonly #network: Network
  readonly #history: History
  readonly #database: Database
  readonly #chance: Chance
  readonly #poison: ReadonlyMap<string, Poison>
  /** time of arrival by deduplication id */
  readonly #known = new Map<string, number>()
  readonly #fences = new Map<number, { readonly epoch: number; readonly holder: string }>()
  #attempts = 0
  #probes = 0

  constructor(
    options: Plan['broker'],
    world: {
      readonly timeline: Timeline
      readonly network: Network
      readonly history: History
      readonly database: Database
      readonly chance: Chance
      readonly poison: ReadonlyMap<string, Poison>
    },
  ) {
    this.#options = options
    this.#timeline = world.timeline
    this.#network = world.network
    this.#history = world.history
    this.#database = world.database
    this.#chance = world.chance
    this.#poison = world.poison
  }

  forgetDeduplication(): void {
    this.#known.clear()
  }

  /** As a broker that acknowledges before it has synced, and loses power. */
  loseTail(count: number): void {
    const lost = this.log.splice(Math.max(0, this.log.length - count))
    this.#history.record({ kind: 'lostTail', ids: lost.map(({ id }) => id) })
    for (const { id } of lost) this.#known.delete(id)
  }

  /** As if each partition had had so many more owners, which wrote to the broker and are gone. */
  raiseFences(by: number): void {
    for (const [partition, { epoch }] of this.#fences) {
      this.#fences.set(partition, { epoch: epoch + by, holder: 'a forgotten owner' })
    }
  }

  /** The publisher as the code in one machine has it. */
  seenFrom(machine: Machine): Publisher {
    const { takes, dedupeWindowMs, probes } = this.#options
    const publish: Publisher['publish'] = async (entries, { signal }) => {
      const attempt = ++this.#attempts
      this.#history.record({
        kind: 'attempted',
        attempt,
        relay: machine.name,
        entries: entries.map((entry) => ({
          id: entry.id,
          lease: entry.lease,
          fetch: this.#database.fetchThatLent(entry),
        })),
      })
      if (entries.some(({ id }) => this.#poison.get(id) === 'deadly')) {
        this.#history.record({ kind: 'fault', text: `${machine.name} dies of an entry in its hands` })
        machine.kill()
      }
      const outcomes =
        takes === 'batch'
          ? await this.#publishBatch(machine, attempt, entries, signal)
          : (await Promise.all(entries.map((entry) => this.#publishBatch(machine, attempt, [entry], signal)))).flat()
      entries.forEach(({ id }, index) => {
        const outcome = outcomes[index]
        const isDuplicate = outcome?.status === 'published' && outcome.duplicate === true
        const status = outcome?.status ?? 'nothing'
        this.#history.record({ kind: 'told', attempt, relay: machine.name, id, status, isDuplicate })
      })
      return outcomes
    }
    return {
      name: 'simulated broker',
      capabilities: {
        keepsOrderInBatch: takes === 'batch',
        ...(dedupeWindowMs === undefined ? {} : { dedupeWindowMs }),
      },
      publish,
      ...(probes && { probe: ({ signal }: { readonly signal?: AbortSignal }) => this.#probe(machine, signal) }),
    }
  }

  async #probe(machine: Machine, signal: AbortSignal | undefined): Promise<void> {
    const probe = ++this.#probes
    this.#history.record({ kind: 'asked', probe, relay: machine.name })
    const exchange = this.#network.send(machine, 'broker', async () => !this.isFull)
    const ended = await (signal ? Promise.race([exchange, aborted(signal)]) : exchange)
    const isAnswered = ended !== 'aborted' && ended.kind === 'answered' && ended.value
    this.#history.record({ kind: 'probed', probe, relay: machine.name, isAnswered })
    if (!isAnswered) throw new Error('The broker is away.')
  }

  async #publishBatch(
    machine: Machine,
    attempt: number,
    entries: readonly DueEntry[],
    signal: AbortSignal,
  ): Promise<readonly PublishOutcome[]> {
    if (signal.aborted) return entries.map(() => ({ status: 'notSent' }))
    const exchange = this.#network.send(machine, 'broker', async () => this.#take(attempt, entries))
    const ended = await Promise.race([exchange, aborted(signal)])
    if (ended !== 'aborted' && ended.kind === 'answered') return ended.value
    const error = new OutboxError('unavailable', 'The broker did not answer.', { system: 'broker' })
    if (ended !== 'aborted' && ended.kind === 'refused') return inContract(entries, { status: 'unavailable', error })
    return entries.map(() => ({ status: 'unknown', error })) // an abort does not call back what has left or is leaving
  }

  /** What the broker does with one request, all at one moment. */
  #take(attempt: number, entries: readonly DueEntry[]): readonly PublishOutcome[] {
    const failed = new Set<string>()
    return entries.map((entry) => {
      const aggregate = aggregateKey(entry)
      if (failed.has(aggregate)) return { status: 'notSent' }
      const outcome = this.#takeOne(attempt, entry, aggregate)
      if (outcome.status !== 'published') failed.add(aggregate)
      return outcome
    })
  }

  #takeOne(attempt: number, entry: DueEntry, aggregate: string): PublishOutcome {
    const arrived = (as: Arrival): void =>
      this.#history.record({ kind: 'arrived', attempt, id: entry.id, lease: entry.lease, as })
    if (this.isFull) return { status: 'unavailable', error: new Error('The broker is full.') }
    if (this.#options.fences) {
      const { partition, epoch, holder } = entry.lease
      const fence = this.#fences.get(partition)
      if (fence && (epoch < fence.epoch || (epoch === fence.epoch && holder !== fence.holder))) {
        arrived('fenced')
        return { status: 'fenced', epoch: fence.epoch }
      }
      this.#fences.set(partition, { epoch, holder })
    }
    if (this.#poison.get(entry.id) === 'rejected') {
      arrived('rejected')
      return { status: 'reject', error: new Error('The broker never takes this.') }
    }
    if (this.#chance.happens(this.refusalProbability)) {
      arrived('refused')
      return { status: 'retry', error: new Error('The broker does not take this now.') }
    }
    const knownAt = this.#known.get(entry.deduplicationId)
    const window = this.#options.dedupeWindowMs
    if (knownAt !== undefined && window !== undefined && this.#timeline.now - knownAt < window) {
      arrived('duplicate')
      return { status: 'published', duplicate: true }
    }
    this.#known.set(entry.deduplicationId, this.#timeline.now)
    this.log.push({ id: entry.id, aggregate, sequence: entry.sequence, epoch: entry.lease.epoch })
    arrived('stored')
    return { status: 'published' }
  }
}

/** The first entry of each aggregate has the outcome, the rest was not sent. */
function inContract(entries: readonly DueEntry[], outcome: PublishOutcome): readonly PublishOutcome[] {
  const seen = new Set<string>()
  return entries.map((entry) => {
    const aggregate = aggregateKey(entry)
    if (seen.has(aggregate)) return { status: 'notSent' }
    seen.add(aggregate)
    return outcome
  })
}

function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve('aborted'), { once: true })
  })
}
