import type { DueEntry, Lease } from '@outbox/core'
import { OutboxError } from '@outbox/core'
import type { Capabilities } from './capabilities.ts'
import type { HeldTransaction, Side } from './side.ts'

/** What the test itself knows of the history: everything that a relay, an operator or a producer would have kept. */
export interface Memo {
  /** every holder that has joined, in order; old ones stay, as zombies do */
  readonly holders: string[]
  /** every lease that was ever granted */
  readonly leases: Lease[]
  readonly batches: Batch[]
  readonly open: OpenPair[]
  /** what stands in the model, by id: the names of its claim */
  readonly written: Map<string, readonly string[]>
  /** what the model has purged, and the store may still know */
  readonly spared: Spared
  /** entries that were there to be lent at an earlier fetch */
  readonly seen: Set<string>
}

interface Spared {
  readonly names: Set<string>
  /** entries, at most */
  count: number
}

export type Verdict = 'published' | 'refused' | 'waits' | 'outage' | 'dead' | 'blocking' | 'nothing'

/** What one fetch lent, as each side gave it. */
export interface Batch {
  readonly lent: readonly { readonly real: DueEntry; readonly model: DueEntry }[]
  /** what a relay made of it; said again, it is the same */
  verdicts: readonly Verdict[] | undefined
}

/** One transaction, open on both sides. */
export interface OpenPair {
  readonly real: HeldTransaction
  readonly model: HeldTransaction
  /** it has enqueued, or has begun to: what others commit from now on, its snapshot may not show */
  hasRead: boolean
  /** the names of all that it was given: the store in memory keeps others from them */
  readonly given: Set<string>
  /** what it has written, by id: the names of its claim */
  readonly written: Map<string, readonly string[]>
  /** names that others have committed since its first read */
  readonly missed: Set<string>
}

export interface Pair {
  readonly real: Side
  readonly model: Side
  readonly memo: Memo
  readonly can: Capabilities
  /** whether an enqueue waits in the store under test; never where that store waits for nobody */
  isWaiting(): Promise<boolean>
}

export function emptyMemo(): Memo {
  return {
    holders: [],
    leases: [],
    batches: [],
    open: [],
    written: new Map(),
    spared: { names: new Set(), count: 0 },
    seen: new Set(),
  }
}

export type Answer<T> = { readonly value: T } | { readonly refusedWith: string }

/** What a call gives, or the code that it is refused with: anything else it throws is a defect. */
export async function answerOf<T>(call: Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await call }
  } catch (error) {
    if (OutboxError.is(error) && !error.isRetryable) return { refusedWith: error.code }
    throw error
  }
}
