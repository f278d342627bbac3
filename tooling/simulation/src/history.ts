import type { Lease } from '@outbox/core'

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
    }
  | { readonly kind: 'probed'; readonly relay: string }
  | {
      readonly kind: 'settled'
      readonly id: string
      readonly lease: Lease
      readonly outcome: 'published' | 'retry' | 'dead'
      readonly reason: string | undefined
      readonly blocksAggregate: boolean
    }
  /** a settle under a lease that no longer stood, or one whose answer never came */
  | { readonly kind: 'settleFailed'; readonly ids: readonly string[] }
  | { readonly kind: 'requeued'; readonly id: string }
  | { readonly kind: 'discarded'; readonly id: string }
  | {
      readonly kind: 'event'
      readonly relay: string
      readonly name: string
      readonly ids: readonly string[]
      readonly text: string
    }
  /** something that a promise forbids, seen while it happened */
  | { readonly kind: 'violation'; readonly rule: string; readonly text: string }
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

export type Recorded = Deed & { readonly at: number; readonly step: number }
export type DeedKind = Deed['kind']
export type RecordedAs<Kind extends DeedKind> = Extract<Recorded, { readonly kind: Kind }>

/** The whole run, in the order in which things took effect. */
export class History {
  readonly deeds: Recorded[] = []
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  record(deed: Deed): void {
    this.deeds.push({ ...deed, at: this.#now(), step: this.deeds.length })
  }

  all<Kind extends DeedKind>(...kinds: readonly Kind[]): readonly RecordedAs<Kind>[] {
    const wanted: ReadonlySet<string> = new Set(kinds)
    return this.deeds.filter((deed): deed is RecordedAs<Kind> => wanted.has(deed.kind))
  }
}
