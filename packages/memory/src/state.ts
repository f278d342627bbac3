import { type Clock, type NewEntry, partitionCount } from '@outbox/core'

/** An entry that has its number. */
export type NumberedEntry = NewEntry & { readonly sequence: number }

export type EntryState =
  | { readonly kind: 'pending' }
  | { readonly kind: 'published'; readonly at: Date; readonly since: number }
  | {
      readonly kind: 'dead'
      readonly at: Date
      readonly reason: string
      /** of the lease under which it was given up */
      readonly holder: string
      readonly blocksAggregate: boolean
    }
  | { readonly kind: 'discarded'; readonly since: number }

/** One row of the outbox. `since` and `enqueuedAt` are on the monotonic clock, `at` is for people. */
export interface Row {
  readonly entry: NumberedEntry
  /** given at `enqueue`, as an identity column would be: a late commit has a low one */
  readonly position: number
  readonly enqueuedAt: number
  readonly payloadBytes: number
  readonly numberedBy: SequenceSource
  state: EntryState
  /** tries that the broker refused */
  refused: number
  crashes: number
  requeues: number
  isLate: boolean
}

export type SequenceSource = 'caller' | 'store'

/** What an aggregate's rows amount to. Blocked means that one of `dead` says so: there is no second flag. */
export interface Aggregate {
  readonly partition: number
  readonly bySequence: Map<number, Row>
  /** ascending by sequence */
  readonly pending: Row[]
  readonly dead: Set<Row>
  /** the last one assigned by the store */
  lastSequence: number
  highestPublished: number
  /** monotonic clock; in the past when the aggregate is open */
  waitingUntil: number
}

/** One message that a consumer has handled. */
export interface Mark {
  readonly consumer: string
  readonly messageId: string
  /** monotonic clock */
  readonly handledAt: number
}

export interface LeaseRow {
  holder: string | null
  epoch: number
  /** ids lent by the last fetch under this lease and not yet settled */
  inFlight: readonly string[]
}

/** Everything that the outbox stores, committed. */
export interface State {
  readonly clock: Clock
  /** wall clock, for dates that people read */
  readonly now: () => number
  readonly source: string
  readonly rows: Map<string, Row>
  readonly aggregates: Map<string, Aggregate>
  /** by aggregate type */
  readonly sequenceSources: Map<string, SequenceSource>
  /** beat by holder */
  readonly relays: Map<string, number>
  /** 64, by partition */
  readonly leases: readonly LeaseRow[]
  /** by `markKey`, in the order in which they were committed */
  readonly marks: Map<string, Mark>
  lastPosition: number
}

export function emptyState(options: {
  readonly clock: Clock
  readonly now: () => number
  readonly source: string
}): State {
  return {
    ...options,
    rows: new Map(),
    aggregates: new Map(),
    sequenceSources: new Map(),
    relays: new Map(),
    leases: Array.from({ length: partitionCount }, () => ({ holder: null, epoch: 0, inFlight: [] })),
    marks: new Map(),
    lastPosition: 0,
  }
}
