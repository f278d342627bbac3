import { type Lease, type LeaseClaim, type LeaseState, type Poll, partitionCount } from '@outbox/core'
import { Beats } from './beats.ts'
import type { RelayContext } from './context.ts'
import { keptForMs } from './options.ts'
import { freeLeases, inPreferredOrder, type Share, shareOf } from './shares.ts'
import type { StoreCalls } from './store-calls.ts'

/** What a poll of the store has told, for those who do the work. */
export interface PollReport {
  /** partitions that have work and are this relay's */
  readonly due: readonly number[]
  /** partitions that have work and are not */
  readonly dueElsewhere: readonly number[]
  /** the holder of one of those has not shown yet whether it lives */
  readonly isContested: boolean
  /** false: this relay was evicted while it was silent; the next poll joins anew */
  readonly isMember: boolean
  /** why partitions were not claimed or handed over; the leases were renewed all the same */
  readonly failure?: { readonly error: unknown }
}

interface Holding extends Lease {
  /** to be given back as soon as it is free, and until the store has confirmed it */
  isRetiring: boolean
  /** a release of it was sent, and no poll has shown yet whether the store has heard that */
  isReleased: boolean
  /** not to be handed over before this monotonic time: a publish under it got no answer */
  unresolvedUntil: number
}

export interface LeasesContext extends RelayContext {
  readonly calls: StoreCalls
}

const never = -Infinity

/**
 * This relay's membership and its leases: joins, polls, evicts the dead, claims and hands over its fair share.
 *
 * A lease is safe to publish under until `keptForMs` after the last poll that succeeded was *sent*; another relay may
 * take it only when it has *seen* our beat stand still for `keptForMs` after an answer. No wall clock takes part. Only
 * one call of `poll` or `leave` runs at a time; the rest is synchronous.
 */
export class Leases {
  readonly #context: LeasesContext
  readonly #beats: Beats
  readonly #held = new Map<number, Holding>()
  /** borrowed by a lane's batch: not to be handed over before it is back */
  readonly #inUse = new Set<number>()
  /** epochs that a broker has seen though the database has not */
  readonly #brokerEpochs = new Map<number, number>()
  /** how often leases were taken over that a relay had not given back */
  takeovers = 0
  /** how often leases were granted under which entries wait that relays may have died of */
  grantsWithSuspects = 0
  /** partitions that other living relays held at the last poll */
  heldElsewhere: readonly number[] = []
  #holder: string | undefined
  /** the name under which a join was sent; kept until one is answered, or each that is lost would leave a stranger behind */
  #joining: string | undefined
  #deadline = never
  /** how many one call may claim: fewer after a failure, or one row that somebody holds would keep all from us */
  #mostClaims = partitionCount

  constructor(context: LeasesContext) {
    this.#context = context
    this.#beats = new Beats(context)
  }

  get held(): readonly number[] {
    return [...this.#held.keys()].sort((a, b) => a - b)
  }

  /** milliseconds until the first of the others has been silent for so long that the next poll may evict it */
  get nextEvictionInMs(): number {
    return this.#beats.nextDeathInMs
  }

  /** milliseconds for which the leases are kept, unless a poll lengthens that */
  get remainingMs(): number {
    return this.#deadline - this.#now
  }

  /** False once a publish that starts now could outlive the leases. */
  readonly mayPublish = (): boolean => this.#context.settings.publishTimeoutMs <= this.remainingMs

  /** Leases for one batch; give them back when it is settled. */
  borrow(isOurs: (partition: number) => boolean): readonly Lease[] {
    if (!this.mayPublish()) return []
    const holdings = [...this.#held.values()].filter(({ partition, isRetiring }) => isOurs(partition) && !isRetiring)
    for (const { partition } of holdings) this.#inUse.add(partition)
    return holdings.map(leaseOf)
  }

  giveBack(leases: readonly Lease[]): void {
    for (const { partition } of leases) this.#inUse.delete(partition)
  }

  stillHolds(leases: readonly Lease[]): boolean {
    return leases.some((lease) => this.#holding(lease))
  }

  /** A publish under this lease got no answer: what it sent may arrive late, so the partition stays here for a while. */
  markUnresolved(lease: Lease): void {
    const holding = this.#holding(lease)
    if (holding) holding.unresolvedUntil = this.#now + this.#context.settings.leaseMs
  }

  /** The store says that these went to another. */
  drop(leases: readonly Lease[]): void {
    const lost = leases.flatMap((lease) => this.#holding(lease) ?? [])
    if (lost.length === 0) return
    this.#forget(lost)
    this.#context.events.emit('leasesLost', { partitions: lost.map(({ partition }) => partition) })
  }

  /**
   * The broker knows a newer owner. Where the database still says that the lease is ours, it was restored to an older
   * state: the partition is given back, and claimed again above the broker's epoch.
   */
  fenced(lease: Lease, epoch: number = lease.epoch): void {
    const holding = this.#holding(lease)
    if (!holding) return
    this.#brokerEpochs.set(lease.partition, Math.max(epoch, this.#brokerEpochs.get(lease.partition) ?? 0))
    holding.isRetiring = true
  }

  /**
   * Renews the leases, and takes, gives back and evicts as the answer says. What goes wrong with the latter is told in
   * the report: it keeps nobody from the work that is this relay's already. @throws what the store throws otherwise
   */
  async poll(): Promise<PollReport> {
    this.#beats.ask()
    const holder = this.#holder ?? (await this.#join())
    const sent = this.#now
    const poll = await this.#context.calls.ask((store, signal) => store.poll({ holder, signal }))
    this.#beats.hear()
    if (!poll.isMember) {
      this.#holder = undefined // the next poll joins under another name
      this.#deadline = never
      this.#miss([...this.#held.values()])
      return { due: [], dueElsewhere: [], isContested: false, isMember: false }
    }
    this.#deadline = sent + keptForMs(this.#context.settings)
    this.#beats.see(poll.relays, holder)
    this.#reconcile(poll, holder)
    const [rebalanced] = await Promise.allSettled([this.#rebalance(poll, holder)])
    const failure = rebalanced.status === 'rejected' && { failure: { error: rebalanced.reason } }
    return { ...this.#report(poll), ...failure }
  }

  /**
   * Gives everything back that can be: not what is in use, nor what a publish without an answer may still reach; that
   * is left to expire, and the membership with it.
   */
  async leave(): Promise<void> {
    const holder = this.#holder
    if (holder === undefined) return
    const leases = this.#free()
    await this.#release(holder, leases, leases.length === this.#held.size)
    this.#forget([...this.#held.values()])
    this.#holder = undefined
    this.#deadline = never
    this.#beats.rest()
  }

  get #now(): number {
    return this.#context.settings.clock.monotonic()
  }

  #holding({ partition, epoch, holder }: Lease): Holding | undefined {
    const held = this.#held.get(partition)
    return held?.epoch === epoch && held.holder === holder ? held : undefined
  }

  /** What can be handed over now. */
  #free(): readonly Holding[] {
    return [...this.#held.values()].filter(
      ({ partition, unresolvedUntil }) => !this.#inUse.has(partition) && unresolvedUntil <= this.#now,
    )
  }

  async #join(): Promise<string> {
    this.#joining ??= this.#context.settings.newHolder()
    const holder = this.#joining
    await this.#context.calls.ask((store, signal) => store.join({ holder, signal }))
    this.#joining = undefined
    this.#holder = holder
    return holder
  }

  async #release(holder: string, holdings: readonly Holding[], leave: boolean): Promise<void> {
    const leases = holdings.map(leaseOf)
    for (const holding of holdings) holding.isReleased = true
    await this.#context.calls.ask((store, signal) => store.release({ holder, leases, leave, signal }))
    this.#forget(leases)
  }

  /** Brings what we hold in line with what the store says. */
  #reconcile(poll: Poll, self: string): void {
    const ours = poll.leases.filter((lease): lease is Lease => lease.holder === self)
    const gone = [...this.#held.values()].filter((held) => !ours.some((lease) => this.#holding(lease) === held))
    this.#miss(gone)
    for (const held of this.#held.values()) held.isReleased = false // the store has not heard it
    // A claim or a release whose answer was lost: the store says ours, we do not hold it. Give it back and start over.
    for (const lease of ours) if (!this.#held.has(lease.partition)) this.#hold(lease, true)
  }

  /** These are not ours any more: lost, unless we gave them back and did not hear the answer. */
  #miss(gone: readonly Holding[]): void {
    this.#forget(gone.filter(({ isReleased }) => isReleased))
    this.drop(gone)
  }

  #forget(leases: readonly Lease[]): void {
    for (const { partition } of leases) this.#held.delete(partition)
    if (leases.length > 0) this.#announce()
  }

  #hold(lease: Lease, isRetiring = false): void {
    this.#held.set(lease.partition, { ...lease, isRetiring, isReleased: false, unresolvedUntil: never })
  }

  async #rebalance(poll: Poll, self: string): Promise<void> {
    const evict = this.#beats.silent
    const live = poll.relays.map(({ holder }) => holder).filter((name) => !evict.some(({ holder }) => holder === name))
    this.heldElsewhere = poll.leases.flatMap(({ partition, holder }) =>
      holder !== self && live.includes(holder ?? '') ? partition : [],
    )
    const share = shareOf(live.sort().indexOf(self), live.length)
    await this.#handOver(share, self)
    const wanted = this.#someOf(
      inPreferredOrder(freeLeases(poll.leases, live), share).slice(0, Math.max(0, share.size - this.#held.size)),
    )
    if (wanted.length + evict.length === 0) return
    const claims = wanted.map((lease) => this.#claim(lease))
    const most = this.#mostClaims
    if (claims.length > 0) this.#mostClaims = Math.max(1, claims.length >> 1) // if it fails
    const granted = await this.#context.calls.ask((store, signal) =>
      store.acquire({ holder: self, claims, evict, signal }),
    )
    this.#mostClaims = Math.min(2 * most, partitionCount)
    for (const lease of granted) {
      this.#hold(lease)
      this.#brokerEpochs.delete(lease.partition)
    }
    this.#beats.forget(evict)
    const isInherited = ({ partition, holder }: LeaseState): boolean =>
      holder !== null && granted.some((lease) => lease.partition === partition)
    if (wanted.some(isInherited)) this.takeovers += 1
    if (granted.some(({ hasSuspects }) => hasSuspects)) this.grantsWithSuspects += 1
    if (granted.length > 0) this.#announce()
  }

  /** Gives back what is beyond our share, the least preferred first, as far as it is free. */
  async #handOver(share: Share, self: string): Promise<void> {
    const kept = [...this.#held.values()].filter(({ isRetiring }) => !isRetiring)
    for (const surplus of inPreferredOrder(kept, share).slice(share.size)) surplus.isRetiring = true
    const retired = this.#free().filter(({ isRetiring }) => isRetiring)
    if (retired.length === 0) return
    await this.#release(self, retired, false)
  }

  /** As many as one call may claim, at random: what failed must not be tried first for ever. */
  #someOf(wanted: readonly LeaseState[]): readonly LeaseState[] {
    const count = Math.min(wanted.length, this.#mostClaims)
    const first = Math.floor(this.#context.settings.random() * (wanted.length - count + 1))
    return wanted.slice(first, first + count)
  }

  #claim({ partition, epoch }: LeaseState): LeaseClaim {
    const above = this.#brokerEpochs.get(partition)
    return above === undefined ? { partition, epoch } : { partition, epoch, above }
  }

  #report({ leases, duePartitions }: Poll): PollReport {
    const dueElsewhere = duePartitions.filter((partition) => !this.#held.has(partition))
    return {
      due: duePartitions.filter((partition) => this.#held.has(partition)),
      dueElsewhere,
      isContested: leases.some(
        ({ partition, holder }) => dueElsewhere.includes(partition) && this.#beats.isUnproven(holder),
      ),
      isMember: true,
    }
  }

  #announce(): void {
    this.#context.events.emit('partitions', { held: this.held })
  }
}

/** The lease alone, as it goes to the store and to entries. */
function leaseOf({ partition, epoch, holder }: Lease): Lease {
  return { partition, epoch, holder }
}
