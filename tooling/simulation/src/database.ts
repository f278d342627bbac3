import {
  type CallOptions,
  type DueEntry,
  type FetchRequest,
  type Lease,
  type LeasedSource,
  OutboxError,
  type Settlement,
} from '@outbox/core'
import type { Chance } from './chance.ts'
import { heard, leasesOf } from './hearing.ts'
import { type History, isSame, type SaidSettlement, type StoreAnswer } from './history.ts'
import type { Ledger } from './ledger.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import type { Plan } from './plan.ts'
import type { Rule } from './rules/names.ts'
import type { Timeline } from './timeline.ts'

type Result<T> = { readonly kind: 'done'; readonly value: T } | { readonly kind: 'failed'; readonly error: unknown }

/** A lease as the world's own bookkeeping has it, independent of the store's. */
interface Standing {
  readonly lease: Lease
  isReleased: boolean
  /** what the last fetch under it has lent, and no settle has cleared */
  inFlight: readonly string[]
}

/** The database: one for all machines. What takes effect there is written into the history. */
export class Database {
  /** statements fail as they do when locks are in the way, with this probability */
  busyProbability = 0
  readonly #outbox: LeasedSource
  readonly #timeline: Timeline
  readonly #network: Network
  readonly #history: History
  readonly #ledger: Ledger
  readonly #chance: Chance
  readonly #plan: Plan
  readonly #standing = new Map<number, Standing>()
  /** when each member last showed that it lives */
  readonly #beatAt = new Map<string, number>()
  /** which fetch lent an entry: the relay passes the same objects on */
  readonly #fetchOf = new WeakMap<object, number>()
  #fetches = 0
  #says = 0

  constructor(
    outbox: LeasedSource,
    world: {
      readonly timeline: Timeline
      readonly network: Network
      readonly history: History
      readonly ledger: Ledger
      readonly chance: Chance
      readonly plan: Plan
    },
  ) {
    this.#outbox = outbox
    this.#timeline = world.timeline
    this.#network = world.network
    this.#history = world.history
    this.#ledger = world.ledger
    this.#chance = world.chance
    this.#plan = world.plan
  }

  fetchThatLent(entry: object): number {
    return this.#fetchOf.get(entry) ?? -1
  }

  /** The store as the code in one machine has it. */
  seenFrom(machine: Machine): LeasedSource {
    const outbox = this.#outbox
    const over = <T>(
      call: CallOptions | undefined,
      effect: () => Promise<T>,
      answerOf?: (value: T) => StoreAnswer,
    ): Promise<T> => heard(this.#history, machine.name, this.#call(machine, call?.signal, effect), answerOf)
    return {
      fetchUnpublished: (limit, call) => over(call, () => outbox.fetchUnpublished(limit)),
      markPublished: (ids, call) => over(call, () => outbox.markPublished(ids)),
      check: (call) => over(call, () => outbox.check()),
      join: ({ signal, ...request }) => over({ ...(signal && { signal }) }, () => outbox.join(request)),
      poll: ({ signal, ...request }) =>
        over(
          { ...(signal && { signal }) },
          async () => {
            const poll = await outbox.poll(request)
            if (poll.isMember) this.#beatAt.set(request.holder, this.#timeline.now)
            return poll
          },
          ({ isMember, leases }) => ({ call: 'poll', isMember, ours: leasesOf(request.holder, leases) }),
        ),
      acquire: ({ signal, ...request }) =>
        over(
          { ...(signal && { signal }) },
          async () => {
            const granted = await outbox.acquire(request)
            for (const lease of granted) this.#granted(machine.name, lease)
            return granted
          },
          (granted) => ({ call: 'acquire', granted }),
        ),
      release: ({ signal, ...request }) => {
        this.#history.record({ kind: 'releasing', relay: machine.name, leases: request.leases })
        return over(
          { ...(signal && { signal }) },
          async () => {
            await outbox.release(request)
            for (const lease of request.leases) this.#released(lease)
            if (request.leave) this.#beatAt.delete(request.holder)
          },
          () => ({ call: 'release', released: request.leases }),
        )
      },
      fetch: ({ signal, ...request }) =>
        over(
          { ...(signal && { signal }) },
          () => this.#fetch(request),
          ({ fetch }) => ({ call: 'fetch', fetch, leases: request.leases }),
        ).then(({ entries }) => entries),
      settle: ({ signal, ...request }) => {
        const ids = request.settlements.map(({ entry }) => entry.id)
        const say = ++this.#says
        const settlements = request.settlements.map((settlement) => this.#said(settlement))
        this.#history.record({ kind: 'said', say, relay: machine.name, leases: request.leases, settlements })
        const answer = over(
          { ...(signal && { signal }) },
          () => this.#settle(request),
          ({ lost }) => ({ call: 'settle', say, lost }),
        )
        return answer.catch((error: unknown) => {
          this.#history.record({ kind: 'settleFailed', ids })
          throw error
        })
      },
      stats: (call) => over(call, () => outbox.stats()),
      purge: ({ signal, ...request }) => over({ ...(signal && { signal }) }, () => outbox.purge(request)),
      deadLetters: outbox.deadLetters,
      subscribe: async (wake) =>
        (await outbox.subscribe?.(() => {
          if (!this.#chance.happens(this.#plan.wakeProbability)) return
          this.#timeline.after(this.#chance.latency(2), () => machine.deliver(wake))
        })) ?? { [Symbol.asyncDispose]: async () => undefined },
    }
  }

  /** What an adapter makes of an exchange: an answer, or a typed error; an aborted call ends at once. */
  async #call<T>(machine: Machine, signal: AbortSignal | undefined, effect: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    const exchange = this.#network.send(machine, 'database', () => this.#attempt(effect))
    const ended = await (signal ? Promise.race([exchange, abortion(signal)]) : exchange)
    if (ended.kind !== 'answered') {
      throw new OutboxError('unavailable', `The database's connection was ${ended.kind}.`, { system: 'database' })
    }
    if (ended.value.kind === 'failed') throw ended.value.error
    return ended.value.value
  }

  async #attempt<T>(effect: () => Promise<T>): Promise<Result<T>> {
    if (this.#chance.happens(this.busyProbability)) {
      return { kind: 'failed', error: new OutboxError('busy', 'A lock was in the way.', { system: 'database' }) }
    }
    try {
      return { kind: 'done', value: await effect() }
    } catch (error) {
      return { kind: 'failed', error }
    }
  }

  async #fetch(request: FetchRequest): Promise<{ readonly fetch: number; readonly entries: readonly DueEntry[] }> {
    const entries = await this.#outbox.fetch(request)
    const fetch = ++this.#fetches
    const lent = new Set<string>()
    for (const entry of entries) {
      this.#fetchOf.set(entry, fetch)
      const objection = this.#ledger.objection(entry, lent)
      lent.add(entry.id)
      if (objection) this.#violation('lent-entries-are-due', `${entry.id} was lent, but ${objection}`)
    }
    for (const lease of request.leases) {
      const standing = this.#standing.get(lease.partition)
      if (standing && isSame(standing.lease, lease)) {
        standing.inFlight = entries.filter((entry) => isSame(entry.lease, lease)).map(({ id }) => id)
      }
    }
    this.#history.record({
      kind: 'fetched',
      fetch,
      entries: entries.map(({ id, attempt, crashes, lease }) => ({ id, attempt, crashes, lease })),
    })
    return { fetch, entries }
  }

  async #settle(request: {
    readonly leases: readonly Lease[]
    readonly settlements: readonly Settlement[]
  }): Promise<{ readonly lost: readonly Lease[] }> {
    const stale = request.settlements.filter(({ entry }) => !this.#stands(entry.lease))
    const before = await this.#outbox.stats()
    const answer = await this.#outbox.settle(request)
    if (stale.length > 0 && stale.length === request.settlements.length) {
      const after = await this.#outbox.stats()
      if (after.pending !== before.pending || after.dead !== before.dead) {
        this.#violation(
          'fenced-settles',
          `a settle under epoch ${stale[0]?.entry.lease.epoch} took effect, though that had ended`,
        )
      }
    }
    if (stale.length > 0) this.#history.record({ kind: 'settleFailed', ids: stale.map(({ entry }) => entry.id) })
    for (const settlement of request.settlements) {
      if (stale.includes(settlement) || !this.#ledger.settle(settlement)) continue
      this.#history.record({
        kind: 'settled',
        ...this.#said(settlement),
        blocksAggregate: settlement.outcome === 'dead' && settlement.blocksAggregate,
      })
    }
    for (const lease of request.leases) {
      const standing = this.#standing.get(lease.partition)
      const isLost = answer.lost.some((lost) => isSame(lost, lease))
      if (standing && this.#stands(lease)) standing.inFlight = []
      if (this.#stands(lease) === isLost) {
        this.#violation('fenced-settles', `partition ${lease.partition}: a settle was told the contrary of what is so`)
      }
    }
    return answer
  }

  #said(settlement: Settlement): SaidSettlement {
    const { entry, outcome } = settlement
    return {
      id: entry.id,
      fetch: this.fetchThatLent(entry),
      lease: entry.lease,
      outcome,
      isRefusal: outcome === 'retry' && settlement.isRefusal,
      reason: outcome === 'published' ? undefined : settlement.reason,
    }
  }

  #granted(relay: string, lease: Lease): void {
    const before = this.#standing.get(lease.partition)
    if (before && before.lease.epoch >= lease.epoch) {
      this.#violation(
        'one-lease',
        `partition ${lease.partition}: epoch ${lease.epoch} was granted after ${before.lease.epoch}`,
      )
    }
    if (before && !before.isReleased) this.#checkSilence(before.lease)
    this.#history.record({
      kind: 'granted',
      relay,
      lease,
      tookOver: before && !before.isReleased ? { lease: before.lease, inFlight: before.inFlight } : undefined,
    })
    this.#standing.set(lease.partition, { lease, isReleased: false, inFlight: [] })
  }

  /** Clocks drift apart, so a lease may seem to last a little less. */
  #checkSilence({ holder, partition }: Lease): void {
    const { drift, relay } = this.#plan
    const silentMs = this.#timeline.now - (this.#beatAt.get(holder) ?? Number.NEGATIVE_INFINITY)
    if (silentMs >= (relay.leaseMs - relay.pollIntervalMs) * (1 - 3 * drift)) return
    this.#violation(
      'the-living-keep-leases',
      `${holder} lost partition ${partition} ${Math.round(silentMs)} ms after it was heard of`,
    )
  }

  #released(lease: Lease): void {
    const standing = this.#standing.get(lease.partition)
    if (!standing || !isSame(standing.lease, lease) || standing.isReleased) return
    standing.isReleased = true
    this.#history.record({ kind: 'released', lease })
  }

  #stands(lease: Lease): boolean {
    const standing = this.#standing.get(lease.partition)
    return standing !== undefined && isSame(standing.lease, lease) && !standing.isReleased
  }

  #violation(rule: Rule, text: string): void {
    this.#history.record({ kind: 'violation', rule, text })
  }
}

function abortion(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
