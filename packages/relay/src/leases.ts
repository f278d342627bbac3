import type { Clock, Lease, Poll, RelayBeat } from '@outbox/core'
import type { Emitter } from './events.ts'
import type { RelaySettings } from './options.ts'
import { freeLeases, inPreferredOrder, type Share, shareOf } from './shares.ts'
import type { StoreCalls } from './store-calls.ts'

/** What one look at the store showed. */
export interface Look {
  /** partitions that have work and are this relay's */
  readonly due: readonly number[]
  /** partitions that have work and are not */
  readonly dueElsewhere: readonly number[]
  /** those of them whose holder has not shown yet whether it lives */
  readonly contested: readonly number[]
  /** false: this relay was evicted while it was silent; the next look joins anew */
  readonly isMember: boolean
}

interface Sighting {
  readonly beat: number
  /** our monotonic time when this beat was first seen */
  readonly since: number
  /** a beat of this relay was seen to move: it lives, or did */
  readonly hasMoved: boolean
}

/**
 * This relay's membership and its leases: joins, polls, evicts the dead, claims and hands over its fair share.
 *
 * A lease is safe to publish under until `leaseMs` after the last poll that succeeded was *sent*; another relay may
 * take it only when it has *seen* our beat stand still for `leaseMs` after an answer. No wall clock takes part. Only
 * one call of `look` or `leave` runs at a time; the rest is synchronous.
 */
export class Leases {
  readonly #calls: StoreCalls
  readonly #settings: RelaySettings
  readonly #events: Emitter
  readonly #clock: Clock
  readonly #seen = new Map<string, Sighting>()
  readonly #held = new Map<number, Lease>()
  /** borrowed by a lane's batch: not to be handed over before it is back */
  readonly #inUse = new Set<number>()
  /** to be given back as soon as they are not in use, and until the store has confirmed it */
  readonly #retiring = new Set<number>()
  /** not to be handed over before this time: a publish under them got no answer */
  readonly #unresolvedUntil = new Map<number, number>()
  /** epochs that a broker has seen though the database has not */
  readonly #above = new Map<number, number>()
  #holder: string | undefined
  #deadline = Number.NEGATIVE_INFINITY

  constructor(calls: StoreCalls, settings: RelaySettings, events: Emitter) {
    this.#calls = calls
    this.#settings = settings
    this.#events = events
    this.#clock = settings.clock
  }

  get held(): readonly number[] {
    return [...this.#held.keys()].sort((a, b) => a - b)
  }

  /** False once a publish that starts now could outlive the leases. */
  mayPublish = (): boolean => this.#clock.monotonic() + this.#settings.publishTimeoutMs <= this.#deadline

  /** Leases for one batch; give them back when it is settled. */
  borrow(isOurs: (partition: number) => boolean): readonly Lease[] {
    if (!this.mayPublish()) return []
    const leases = [...this.#held.values()].filter(
      ({ partition }) => isOurs(partition) && !this.#retiring.has(partition),
    )
    for (const { partition } of leases) this.#inUse.add(partition)
    return leases
  }

  giveBack(leases: readonly Lease[]): void {
    for (const { partition } of leases) this.#inUse.delete(partition)
  }

  stillHolds(leases: readonly Lease[]): boolean {
    return leases.some((lease) => this.#isHeld(lease))
  }

  /** A publish under this lease got no answer: what it sent may arrive late, so the partition stays here for a while. */
  markUnresolved(lease: Lease): void {
    this.#unresolvedUntil.set(lease.partition, this.#clock.monotonic() + this.#settings.leaseMs)
  }

  /** The store says that these went to another. */
  drop(leases: readonly Lease[]): void {
    const lost = leases.filter((lease) => this.#isHeld(lease)).map(({ partition }) => partition)
    for (const partition of lost) this.#forget(partition)
    if (lost.length > 0) this.#events.emit('leasesLost', { partitions: lost })
  }

  /**
   * The broker knows a newer owner. Where the database still says that the lease is ours, it was restored to an older
   * state: the partition is given back, and claimed again above the broker's epoch.
   */
  fenced(lease: Lease, epoch: number | undefined): void {
    if (!this.#isHeld(lease)) return
    this.#above.set(lease.partition, Math.max(epoch ?? lease.epoch, this.#above.get(lease.partition) ?? 0))
    this.#retiring.add(lease.partition)
  }

  /** One poll, and what follows from it. @throws what the store throws */
  async look(): Promise<Look> {
    const holder = this.#holder ?? (await this.#join())
    const sent = this.#clock.monotonic()
    const poll = await this.#calls.poll({ holder })
    // Deaf for a lease long, we cannot tell who was silent: after an outage of the store nobody evicts the living.
    if (Number.isFinite(this.#deadline) && sent >= this.#deadline) this.#seen.clear()
    if (!poll.isMember) {
      this.#loseAll()
      return { due: [], dueElsewhere: [], contested: [], isMember: false }
    }
    this.#deadline = sent + this.#settings.leaseMs
    this.#observe(poll.relays, holder)
    this.#reconcile(poll, holder)
    await this.#rebalance(poll, holder)
    return this.#report(poll, holder)
  }

  /**
   * Gives everything back that can be: not what is in use, nor what a publish without an answer may still reach; that
   * is left to expire, and the membership with it.
   */
  async leave(): Promise<void> {
    const holder = this.#holder
    if (holder === undefined) return
    const now = this.#clock.monotonic()
    const leases = [...this.#held.values()].filter(
      ({ partition }) => !this.#inUse.has(partition) && !this.#isUnresolved(partition, now),
    )
    const leave = leases.length === this.#held.size
    await this.#calls.release({ holder, leases, leave })
    this.#holder = undefined
    for (const partition of this.held) this.#forget(partition)
    this.#deadline = Number.NEGATIVE_INFINITY
  }

  async #join(): Promise<string> {
    const holder = this.#settings.newHolder()
    await this.#calls.join({ holder })
    this.#holder = holder
    return holder
  }

  #observe(relays: readonly RelayBeat[], self: string): void {
    const now = this.#clock.monotonic()
    const present = new Set(relays.map(({ holder }) => holder))
    for (const holder of this.#seen.keys()) if (!present.has(holder)) this.#seen.delete(holder)
    for (const { holder, beat } of relays) {
      const before = this.#seen.get(holder)
      if (holder === self || before?.beat === beat) continue
      this.#seen.set(holder, { beat, since: now, hasMoved: before !== undefined })
    }
  }

  #isSilent(sighting: Sighting): boolean {
    return this.#clock.monotonic() - sighting.since >= this.#settings.leaseMs
  }

  /** Brings what we hold in line with what the store says, and finishes hand-overs. */
  #reconcile(poll: Poll, holder: string): void {
    const ours = new Map(
      poll.leases.filter((lease) => lease.holder === holder).map((lease) => [lease.partition, lease]),
    )
    this.drop([...this.#held.values()].filter(({ partition, epoch }) => ours.get(partition)?.epoch !== epoch))
    // A claim or a release whose answer was lost: the store says ours, we do not hold it. Give it back and start over.
    for (const { partition, epoch } of ours.values()) {
      if (this.#held.has(partition)) continue
      this.#held.set(partition, { partition, epoch, holder })
      this.#retiring.add(partition)
    }
  }

  async #rebalance(poll: Poll, holder: string): Promise<void> {
    const silent = [...this.#seen].filter(([, sighting]) => this.#isSilent(sighting))
    const evict = silent.map(([name, { beat }]) => ({ holder: name, beat }))
    const evicted = new Set(silent.map(([name]) => name))
    const live = poll.relays.map((relay) => relay.holder).filter((name) => !evicted.has(name))
    const share = shareOf(live.sort().indexOf(holder), live.length)
    this.#retireSurplus(share)
    await this.#releaseRetired(holder)
    const members = new Set(poll.relays.map((relay) => relay.holder))
    const wanted = share.size - this.#held.size
    const free = inPreferredOrder(freeLeases(poll.leases, members, evicted), share)
    const claims = wanted > 0 ? free.slice(0, wanted).map(({ partition, epoch }) => this.#claim(partition, epoch)) : []
    if (claims.length === 0 && evict.length === 0) return
    const granted = await this.#calls.acquire({ holder, claims, evict })
    for (const lease of granted) {
      this.#held.set(lease.partition, lease)
      this.#above.delete(lease.partition)
    }
    for (const name of evicted) this.#seen.delete(name)
    if (granted.length > 0) this.#announce()
  }

  #claim(partition: number, epoch: number): { partition: number; epoch: number; above?: number } {
    const above = this.#above.get(partition)
    return above === undefined ? { partition, epoch } : { partition, epoch, above }
  }

  /** Marks what is beyond our share, the least preferred first. */
  #retireSurplus(share: Share): void {
    const kept = [...this.#held.values()].filter(({ partition }) => !this.#retiring.has(partition))
    for (const { partition } of inPreferredOrder(kept, share).slice(share.size)) this.#retiring.add(partition)
  }

  async #releaseRetired(holder: string): Promise<void> {
    const now = this.#clock.monotonic()
    const leases = [...this.#retiring].flatMap((partition) => {
      if (this.#inUse.has(partition) || this.#isUnresolved(partition, now)) return []
      return this.#held.get(partition) ?? []
    })
    if (leases.length === 0) return
    await this.#calls.release({ holder, leases, leave: false })
    for (const { partition } of leases) this.#forget(partition)
    this.#announce()
  }

  #report(poll: Poll, holder: string): Look {
    const holders = new Map(poll.leases.map((lease) => [lease.partition, lease.holder]))
    const isUndecided = (name: string | null | undefined): boolean => {
      const sighting = name && name !== holder ? this.#seen.get(name) : undefined
      return sighting !== undefined && !sighting.hasMoved
    }
    const dueElsewhere = poll.duePartitions.filter((partition) => !this.#held.has(partition))
    return {
      due: poll.duePartitions.filter((partition) => this.#held.has(partition)),
      dueElsewhere,
      contested: dueElsewhere.filter((partition) => isUndecided(holders.get(partition))),
      isMember: true,
    }
  }

  /** Somebody saw us silent and evicted us: a new incarnation joins at the next look. */
  #loseAll(): void {
    this.#holder = undefined
    this.#deadline = Number.NEGATIVE_INFINITY
    this.drop([...this.#held.values()])
  }

  #forget(partition: number): void {
    this.#held.delete(partition)
    this.#retiring.delete(partition)
    this.#unresolvedUntil.delete(partition)
  }

  #isHeld(lease: Lease): boolean {
    const held = this.#held.get(lease.partition)
    return held?.epoch === lease.epoch && held.holder === lease.holder
  }

  #isUnresolved(partition: number, now: number): boolean {
    return (this.#unresolvedUntil.get(partition) ?? Number.NEGATIVE_INFINITY) > now
  }

  #announce(): void {
    this.#events.emit('partitions', { held: this.held })
  }
}
