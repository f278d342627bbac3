import type { DueEntry, Settlement } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'

interface Account {
  readonly aggregate: string
  state: 'pending' | 'published' | 'dead' | 'discarded'
  /** tries that count against it */
  refused: number
}

/** What the state of every entry and aggregate must be by the contract, kept apart from the store. */
export class Ledger {
  readonly #now: () => number
  readonly #accounts = new Map<string, Account>()
  readonly #waitingUntil = new Map<string, number>()
  /** dead entries that block, by aggregate */
  readonly #blockers = new Map<string, Set<string>>()

  /** @param now - the database's clock */
  constructor(now: () => number) {
    this.#now = now
  }

  commit(id: string, aggregate: string): void {
    this.#accounts.set(id, { aggregate, state: 'pending', refused: 0 })
  }

  /** @returns whether it changes anything: it does for an entry that is pending and has the attempt it was lent with */
  settle({ entry, ...settlement }: Settlement): boolean {
    const account = this.#accounts.get(entry.id)
    if (account?.state !== 'pending' || account.refused + 1 !== entry.attempt) return false
    if (settlement.outcome === 'retry') {
      if (settlement.isRefusal) account.refused += 1
      this.#waitingUntil.set(account.aggregate, this.#now() + settlement.retryInMs)
      return true
    }
    account.state = settlement.outcome
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

  /** Why this entry should not have been lent; undefined: it may be. */
  objection(entry: DueEntry): string | undefined {
    const account = this.#accounts.get(entry.id)
    if (!account) return 'it was never committed'
    if (account.state !== 'pending') return `it is ${account.state}`
    if (account.refused + 1 !== entry.attempt) return `its attempt is ${account.refused + 1}, not ${entry.attempt}`
    if ((this.#blockers.get(account.aggregate)?.size ?? 0) > 0) return 'a dead letter blocks its aggregate'
    if ((this.#waitingUntil.get(account.aggregate) ?? Number.NEGATIVE_INFINITY) > this.#now())
      return 'its aggregate waits'
    return account.aggregate === aggregateKey(entry) ? undefined : 'it belongs to another aggregate'
  }

  #revive(id: string, state: 'pending' | 'discarded'): void {
    const account = this.#accounts.get(id)
    if (!account) return
    this.#blockers.get(account.aggregate)?.delete(id)
    // requeued, it is due at once; discarded, what stands behind it keeps waiting
    if (state === 'pending') this.#waitingUntil.delete(account.aggregate)
    account.state = state
    account.refused = 0
  }
}
