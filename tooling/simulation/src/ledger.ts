import type { DueEntry, Settlement } from '@outbox/core'
import { aggregateKey, deduplicationIdOf } from '@outbox/core/adapter'
import type { EntryName } from './history.ts'

interface Account {
  readonly aggregate: string
  readonly sequence: number
  state: 'pending' | 'published' | 'dead' | 'discarded'
  /** tries that count against it */
  refused: number
  requeues: number
}

/** What the state of every entry and aggregate must be by the contract, kept apart from the store. */
export class Ledger {
  readonly #now: () => number
  readonly #accounts = new Map<string, Account>()
  readonly #waitingUntil = new Map<string, number>()
  /** ids of pending entries, by aggregate */
  readonly #pending = new Map<string, Set<string>>()
  /** dead entries that block, by aggregate */
  readonly #blockers = new Map<string, Set<string>>()

  /** @param now - the database's clock */
  constructor(now: () => number) {
    this.#now = now
  }

  commit({ id, aggregate, sequence }: EntryName): void {
    this.#accounts.set(id, { aggregate, sequence, state: 'pending', refused: 0, requeues: 0 })
    this.#await(id, aggregate)
  }

  /** @returns whether it changes anything: it does for an entry that is pending, and still in the try it was lent in */
  settle({ entry, ...settlement }: Settlement): boolean {
    const account = this.#accounts.get(entry.id)
    if (account?.state !== 'pending' || account.refused + 1 !== entry.attempt) return false
    if (entry.deduplicationId !== deduplicationIdOf(entry.id, account.requeues)) return false
    if (settlement.outcome === 'retry') {
      if (settlement.isRefusal) account.refused += 1
      this.#waitingUntil.set(account.aggregate, this.#now() + settlement.retryInMs)
      return true
    }
    account.state = settlement.outcome
    this.#pending.get(account.aggregate)?.delete(entry.id)
    if (settlement.outcome === 'dead' && settlement.blocksAggregate) {
      const blockers = this.#blockers.get(account.aggregate) ?? new Set()
      this.#blockers.set(account.aggregate, blockers.add(entry.id))
    }
    return true
  }

  requeue(id: string): void {
    this.#revive(id, 'pending')
  }

  discard(id: string): void {
    this.#revive(id, 'discarded')
  }

  /**
   * Why this entry should not have been lent; undefined: it may be.
   *
   * @param lent - ids of what the same fetch has lent before it
   */
  objection(entry: DueEntry, lent: ReadonlySet<string>): string | undefined {
    const account = this.#accounts.get(entry.id)
    if (!account) return 'it was never committed'
    if (account.state !== 'pending') return `it is ${account.state}`
    if (account.refused + 1 !== entry.attempt) return `its attempt is ${account.refused + 1}, not ${entry.attempt}`
    if ((this.#blockers.get(account.aggregate)?.size ?? 0) > 0) return 'a dead letter blocks its aggregate'
    if ((this.#waitingUntil.get(account.aggregate) ?? Number.NEGATIVE_INFINITY) > this.#now())
      return 'its aggregate waits'
    if (this.#isPassedOver(account, lent)) return 'an earlier entry of its aggregate is pending'
    return account.aggregate === aggregateKey(entry) ? undefined : 'it belongs to another aggregate'
  }

  #isPassedOver({ aggregate, sequence }: Account, lent: ReadonlySet<string>): boolean {
    for (const id of this.#pending.get(aggregate) ?? []) {
      if (!lent.has(id) && (this.#accounts.get(id)?.sequence ?? sequence) < sequence) return true
    }
    return false
  }

  #await(id: string, aggregate: string): void {
    const pending = this.#pending.get(aggregate) ?? new Set()
    this.#pending.set(aggregate, pending.add(id))
  }

  #revive(id: string, state: 'pending' | 'discarded'): void {
    const account = this.#accounts.get(id)
    if (!account) return
    this.#blockers.get(account.aggregate)?.delete(id)
    // requeued, it is due at once; discarded, what stands behind it keeps waiting
    if (state === 'pending') {
      this.#waitingUntil.delete(account.aggregate)
      this.#await(id, account.aggregate)
      account.requeues += 1
    }
    account.state = state
    account.refused = 0
  }
}
