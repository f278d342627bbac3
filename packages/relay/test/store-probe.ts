import { type LeasedSource, OutboxError } from '@outbox/core'

export type StoreMethod = 'check' | 'join' | 'poll' | 'acquire' | 'release' | 'fetch' | 'settle'

/** What a test lets happen to a call; `proceed` makes it. */
export type Interference = <Answer>(method: StoreMethod, proceed: () => Promise<Answer>) => Promise<Answer>

/** Stands before a store: counts the relay's calls, and lets a test delay them, fail them or lose their answers. */
export class StoreProbe {
  readonly calls: StoreMethod[] = []
  interfere: Interference = (_method, proceed) => proceed()
  readonly source: LeasedSource

  constructor(store: LeasedSource) {
    const probed =
      <Request, Answer>(method: StoreMethod, call: (request: Request) => Promise<Answer>) =>
      (request: Request): Promise<Answer> => {
        this.calls.push(method)
        return this.interfere(method, () => call(request))
      }
    this.source = {
      ...store,
      check: probed('check', store.check),
      join: probed('join', store.join),
      poll: probed('poll', store.poll),
      acquire: probed('acquire', store.acquire),
      release: probed('release', store.release),
      fetch: probed('fetch', store.fetch),
      settle: probed('settle', store.settle),
    }
  }

  count(method: StoreMethod): number {
    return this.calls.filter((call) => call === method).length
  }

  /** From now on no call reaches the store. */
  goAway(): void {
    this.interfere = () => Promise.reject(storeAway())
  }

  /** Every call reaches the store again, and is answered. */
  comeBack(): void {
    this.interfere = (_method, proceed) => proceed()
  }

  /** The next call of `method` reaches the store; its answer does not come back. */
  loseNextAnswer(method: StoreMethod): void {
    this.interfere = async (called, proceed) => {
      const answer = await proceed()
      if (called !== method) return answer
      this.comeBack()
      throw storeAway()
    }
  }
}

export function storeAway(): OutboxError<'unavailable'> {
  return new OutboxError('unavailable', 'The database is away.', { system: 'database' })
}
