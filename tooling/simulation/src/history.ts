import type { Lease, Settlement } from '@outbox/core'
import type { RelayEventName, RelayStats } from '@outbox/relay'
import type { Rule } from './rules/names.ts'
import type { Timeline } from './timeline.ts'

/** An entry as the history names it. */
export interface EntryName {
  readonly id: string
  readonly aggregate: string
  readonly sequence: number
  readonly partition: number
}

/** What one attempt at one entry came to at the broker. */
export type Arrival = 'stored' | 'duplicate' | 'refused' | 'rejected' | 'fenced'

/** Everything that happened and matters to a promise, at the moment when it took effect. */
export type Deed =
  | { readonly kind: 'committed'; readonly entries: readonly EntryName[] }
  | { readonly kind: 'rolledBack'; readonly entries: readonly EntryName[] }
  | {
      readonly kind: 'granted'
      readonly relay: string
      readonly lease: Lease
      /** the lease before it was not given back */
      readonly tookOver: LostLease | undefined
    }
  | { readonly kind: 'released'; readonly lease: Lease }
  | { readonly kind: 'fetched'; readonly fetch: number; readonly entries: readonly FetchedEntry[] }
  /** a relay hands entries to its publisher */
  | {
      readonly kind: 'attempted'
      readonly attempt: number
      readonly relay: string
      readonly entries: readonly AttemptedEntry[]
    }
  | {
      readonly kind: 'arrived'
      readonly attempt: number
      readonly id: string
      readonly lease: Lease
      readonly as: Arrival
    }
  /** the publisher has told the relay */
  | {
      readonly kind: 'told'
      readonly attempt: number
      readonly relay: string
      readonly id: string
      readonly status: string
      /** the broker had it already */
      readonly isDuplicate: boolean
    }
  /** a relay asks the broker whether it is there */
  | { readonly kind: 'asked'; readonly probe: number; readonly relay: string }
  | { readonly kind: 'probed'; readonly probe: number; readonly relay: string; readonly isAnswered: boolean }
  /** a relay begins to tell the store what became of entries */
  | {
      readonly kind: 'said'
      readonly say: number
      readonly relay: string
      /** those of the whole batch */
      readonly leases: readonly Lease[]
      readonly settlements: readonly SaidSettlement[]
    }
  /** how a call of the store ended, as far as the relay knows */
  | { readonly kind: 'heard'; readonly relay: string; readonly answer: StoreAnswer }
  | ({ readonly kind: 'settled'; readonly blocksAggregate: boolean } & SaidSettlement)
  /** a settle under a lease that no longer stood, or one whose answer never came */
  | { readonly kind: 'settleFailed'; readonly ids: readonly string[] }
  | { readonly kind: 'requeued'; readonly id: string }
  | { readonly kind: 'discarded'; readonly id: string }
  | {
      readonly kind: 'event'
      readonly relay: string
      readonly name: RelayEventName
      readonly ids: readonly string[]
      readonly text: string
    }
  /** a relay gives leases back */
  | { readonly kind: 'releasing'; readonly relay: string; readonly leases: readonly Lease[] }
  /** a relay is told to end */
  | { readonly kind: 'stopping'; readonly relay: string }
  /** a relay's counters when its process ends */
  | { readonly kind: 'counted'; readonly relay: string; readonly stats: RelayStats }
  /** something that a promise forbids, seen while it happened */
  | { readonly kind: 'violation'; readonly rule: Rule; readonly text: string }
  /** a fault begins, or an operator does something: for whoever reads the story */
  | { readonly kind: 'fault'; readonly text: string }
  | { readonly kind: 'lostTail'; readonly ids: readonly string[] }

export interface LostLease {
  readonly lease: Lease
  /** ids */
  readonly inFlight: readonly string[]
}

export interface FetchedEntry {
  readonly id: string
  readonly attempt: number
  readonly crashes: number
  readonly lease: Lease
}

export interface AttemptedEntry {
  readonly id: string
  readonly lease: Lease
  /** the fetch that lent it */
  readonly fetch: number
}

export interface SaidSettlement {
  readonly id: string
  /** the fetch that lent it */
  readonly fetch: number
  readonly lease: Lease
  readonly outcome: Settlement['outcome']
  /** it counts as an attempt, and the entry stays pending */
  readonly isRefusal: boolean
  readonly reason: string | undefined
}

/** What an answer of the store says to a relay. */
export type StoreAnswer =
  | { readonly call: 'poll'; readonly isMember: boolean; readonly ours: readonly Lease[] }
  | { readonly call: 'acquire'; readonly granted: readonly Lease[] }
  | { readonly call: 'release'; readonly released: readonly Lease[] }
  | { readonly call: 'fetch'; readonly fetch: number; readonly leases: readonly Lease[] }
  | { readonly call: 'settle'; readonly say: number; readonly lost: readonly Lease[] }
  | { readonly call: 'other' }
  | { readonly call: 'failed'; readonly isAway: boolean }

/** `moment`: what a relay does at once, in one turn of its event loop, has one number. */
export type Recorded = Deed & { readonly at: number; readonly step: number; readonly moment: number }
export type DeedKind = Deed['kind']
export type RecordedAs<Kind extends DeedKind> = Extract<Recorded, { readonly kind: Kind }>

/** The whole run, in the order in which things took effect. */
export class History {
  readonly deeds: Recorded[] = []
  readonly #timeline: Pick<Timeline, 'now' | 'steps'>

  constructor(timeline: Pick<Timeline, 'now' | 'steps'>) {
    this.#timeline = timeline
  }

  record(deed: Deed): void {
    const { now, steps } = this.#timeline
    this.deeds.push({ ...deed, at: now, step: this.deeds.length, moment: steps })
  }

  all<Kind extends DeedKind>(...kinds: readonly Kind[]): readonly RecordedAs<Kind>[] {
    const wanted: ReadonlySet<string> = new Set(kinds)
    return this.deeds.filter((deed): deed is RecordedAs<Kind> => wanted.has(deed.kind))
  }
}

/** Partitions as an event's text has them, in ascending order. */
export function numbers(partitions: readonly number[]): string {
  return partitions.toSorted((a, b) => a - b).join(', ')
}

export function isSame(a: Lease, b: Lease): boolean {
  return a.partition === b.partition && a.epoch === b.epoch && a.holder === b.holder
}
