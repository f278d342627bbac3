import type { Lease } from '@outbox/core'
import { isSame, numbers, type RecordedAs, type SaidSettlement, type StoreAnswer } from '../history.ts'
import type { Facts } from './facts.ts'

type Event = RecordedAs<'event'>
type Said = RecordedAs<'said'>

/** What a relay does, hears and tells, as far as its events depend on it. */
export type OwnDeed = RecordedAs<'asked' | 'probed' | 'said' | 'heard' | 'event' | 'releasing' | 'stopping'>

/** An event that a relay must tell at the moment when it hears of the cause. */
export interface Due extends Pick<Event, 'name' | 'ids' | 'text'> {
  /** true: the history cannot say whether the relay has to */
  readonly isOptional: boolean
  /** what the store must have done before */
  readonly settlements: readonly SaidSettlement[]
}

/** Follows one relay, and says by what it hears which events it must tell: those, and no others. */
export class Dues {
  readonly #facts: Facts
  readonly #probes: boolean
  readonly #said = new Map<number, Said>()
  /** the leases that it knows of, by partition */
  readonly #held = new Map<number, Lease>()
  /** those of them that it has given back, as far as it knows */
  readonly #released = new Set<Lease>()
  /** the batch in hand, by partition; only until it is spoken of */
  readonly #batches = new Map<number, number>()
  /** probes sent since the destination was told as down */
  readonly #asked = new Set<number>()
  /** without probes: when an outage was last found, as a step of the history */
  #foundAwayAt = 0
  #isStopping = false
  #isStoreDown = false
  #isDestinationDown = false

  constructor(facts: Facts) {
    this.#facts = facts
    this.#probes = facts.outcome.plan.broker.probes
  }

  /** @returns what is due at the moment of this deed */
  of(deed: OwnDeed): readonly Due[] {
    switch (deed.kind) {
      case 'stopping':
        this.#isStopping = true
        return []
      case 'releasing':
        for (const lease of this.#known(deed.leases)) this.#released.add(lease)
        return []
      case 'asked':
        if (this.#isDestinationDown) this.#asked.add(deed.probe)
        return []
      case 'probed':
        return this.#ofProbe(deed)
      case 'said':
        this.#said.set(deed.say, deed)
        return this.#ofBatch(deed)
      case 'heard':
        return [...this.#ofStore(deed.answer), ...this.#ofAnswer(deed.answer)]
      case 'event':
        return []
    }
  }

  /** The relay has told this. */
  told({ name }: Event): void {
    if (name === 'storeDown' || name === 'storeUp') this.#isStoreDown = name === 'storeDown'
    if (name !== 'destinationDown' && name !== 'destinationUp') return
    this.#isDestinationDown = name === 'destinationDown'
    this.#asked.clear()
  }

  /** The first probe that fails finds the outage, the first answer to one that was sent since then ends it. */
  #ofProbe({ probe, isAnswered }: RecordedAs<'probed'>): readonly Due[] {
    const isOptional = this.#isStopping
    if (isAnswered) return this.#asked.has(probe) ? [due('destinationUp', { isOptional })] : []
    return this.#isDestinationDown ? [] : [due('destinationDown', { isOptional })]
  }

  /**
   * Where there are no probes, a batch itself shows how the destination is. One that began before the outage was found
   * may have come too late to show that it is over.
   */
  #ofBatch({ leases, step }: Said): readonly Due[] {
    const fetch = this.#batches.get(leases[0]?.partition ?? -1)
    for (const { partition } of leases) this.#batches.delete(partition)
    if (this.#probes || fetch === undefined) return []
    const trials = this.#facts.trials.get(fetch) ?? []
    const has = (status: string): boolean => trials.some(({ told }) => told?.status === status)
    const isOptional = this.#isStopping || trials.every(({ attempted }) => attempted.step < this.#foundAwayAt)
    const isBack = this.#isDestinationDown && has('published')
    const isAway = has('unavailable')
    if (isAway) this.#foundAwayAt = step
    return [
      ...(isBack ? [due('destinationUp', { isOptional })] : []),
      ...(isAway && (isBack || !this.#isDestinationDown)
        ? [due('destinationDown', { isOptional: isBack ? isOptional : this.#isStopping })]
        : []),
    ]
  }

  /** The first call that finds the store away tells it, the first answer after that tells that it is back. */
  #ofStore(answer: StoreAnswer): readonly Due[] {
    if (answer.call !== 'failed') return this.#isStoreDown ? [due('storeUp')] : []
    return answer.isAway && !this.#isStoreDown ? [due('storeDown', { isOptional: this.#isStopping })] : []
  }

  #ofAnswer(answer: StoreAnswer): readonly Due[] {
    switch (answer.call) {
      case 'poll':
        return this.#ofPoll(answer.isMember ? answer.ours : [])
      case 'acquire':
        for (const lease of answer.granted) this.#held.set(lease.partition, lease)
        return answer.granted.length > 0 ? [this.#partitions()] : []
      case 'release':
        return [...this.#forget(this.#known(answer.released)), ...this.#ofEnd()]
      case 'fetch':
        for (const { partition } of answer.leases) this.#batches.set(partition, answer.fetch)
        return []
      case 'settle':
        return this.#ofSettle(this.#said.get(answer.say)?.settlements ?? [], answer.lost)
      case 'other':
      case 'failed':
        return []
    }
  }

  /** What the store gives to others is lost; what it gives to this relay is held, were it news to it. */
  #ofPoll(ours: readonly Lease[]): readonly Due[] {
    const gone = [...this.#held.values()].filter((held) => !ours.some((lease) => isSame(lease, held)))
    // given back, though the answer to that was lost: nobody took it
    const dues = [...this.#forget(gone.filter((lease) => this.#released.has(lease))), ...this.#lose(gone)]
    for (const lease of ours) this.#held.set(lease.partition, lease)
    return dues
  }

  #ofSettle(settlements: readonly SaidSettlement[], lost: readonly Lease[]): readonly Due[] {
    const { taken, refused } = divided(settlements, lost)
    const published = taken.filter(({ outcome }) => outcome === 'published')
    return [
      ...this.#lose(lost),
      ...(refused.length > 0 ? [due('settleRefused', { ids: refused.map(({ id }) => id) })] : []),
      ...(published.length > 0 ? [ofSettlements('published', published)] : []),
      ...taken.flatMap((settlement) => {
        const { outcome, isRefusal, reason } = settlement
        if (outcome === 'published') return []
        return ofSettlements(outcome, [settlement], outcome === 'dead' ? reason : isRefusal ? 'refusal' : 'outage')
      }),
    ]
  }

  #lose(leases: readonly Lease[]): readonly Due[] {
    const lost = this.#known(leases)
    if (lost.length === 0) return []
    return [due('leasesLost', { text: numbers(lost.map(({ partition }) => partition)) }), ...this.#forget(lost)]
  }

  /** A relay that ends may keep what it cannot give back: it forgets that last. */
  #ofEnd(): readonly Due[] {
    return this.#isStopping && this.#held.size > 0 ? [due('partitions', { isOptional: true })] : []
  }

  #forget(leases: readonly Lease[]): readonly Due[] {
    for (const lease of leases) {
      this.#held.delete(lease.partition)
      this.#released.delete(lease)
    }
    return leases.length > 0 ? [this.#partitions()] : []
  }

  /** Of these, what the relay holds as far as it knows. */
  #known(leases: readonly Lease[]): readonly Lease[] {
    return leases.flatMap((lease) => {
      const held = this.#held.get(lease.partition)
      return held && isSame(held, lease) ? held : []
    })
  }

  #partitions(): Due {
    return due('partitions', { text: numbers([...this.#held.keys()]) })
  }
}

/** What the store took of what it was told, and what it refused because the lease was gone. */
export function divided(
  settlements: readonly SaidSettlement[],
  lost: readonly Lease[],
): { readonly taken: readonly SaidSettlement[]; readonly refused: readonly SaidSettlement[] } {
  const isLost = ({ lease }: SaidSettlement): boolean => lost.some(({ partition }) => partition === lease.partition)
  return {
    taken: settlements.filter((settlement) => !isLost(settlement)),
    refused: settlements.filter(isLost),
  }
}

function due(name: Due['name'], more: Partial<Omit<Due, 'name'>> = {}): Due {
  return { name, ids: [], text: '', isOptional: false, settlements: [], ...more }
}

function ofSettlements(name: Due['name'], settlements: readonly SaidSettlement[], text = ''): Due {
  return due(name, { ids: settlements.map(({ id }) => id), text, settlements })
}
