import type { DueEntry, Enqueueable, Lease, LeasedSource, Receipt } from '@outbox/core'
import { OutboxError } from '@outbox/core'

/** One side of the comparison: the store under test, or the model. */
export interface Side {
  readonly store: LeasedSource
  /** commits, or rolls back and leaves nothing */
  transact(events: readonly Enqueueable[], ending: 'commit' | 'roll back'): Promise<readonly Receipt[]>
}

/** What the test itself knows of the history: everything that a relay or an operator would have kept. */
export interface Memo {
  /** every holder that has joined, in order; old ones stay, as zombies do */
  readonly holders: string[]
  /** every lease that was ever granted */
  readonly leases: Lease[]
  readonly batches: Batch[]
}

export type Verdict = 'published' | 'refused' | 'waits' | 'outage' | 'dead' | 'blocking' | 'nothing'

/** What one fetch lent, as each side gave it. */
export interface Batch {
  readonly lent: readonly { readonly real: DueEntry; readonly model: DueEntry }[]
  /** what a relay made of it; said again, it is the same */
  verdicts: readonly Verdict[] | undefined
}

export interface Pair {
  readonly real: Side
  readonly model: Side
  readonly memo: Memo
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
