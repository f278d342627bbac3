import type { DueEntry } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import type { Leases } from './leases.ts'
import type { Turns } from './turns.ts'

/** A lane's time for one batch, and how carefully that is to be made. */
export interface Turn {
  /** no other lane of the relay has anything in hand */
  readonly isAlone: boolean
  /** few are fetched: who dies once more dies with few */
  readonly isWary: boolean
  /** what the leases told when it began */
  readonly takeovers: number
  readonly grantsWithSuspects: number
  readonly end: () => void
}

/**
 * What a lane knows of relays that died, and with what in hand.
 *
 * After one death of an entry few are fetched with it. After two it is under suspicion, and only a turn alone will do:
 * who dies over it takes nobody along. Partitions that were granted since the last fetch may bring either, and the
 * leases tell.
 */
export class Caution {
  readonly #leases: Leases
  readonly #turns: Turns
  /** of the entries of the last fetch: in how many deaths of a relay the worst one was */
  #mostCrashes = 0
  #takeoversSeen = 0
  #grantsWithSuspectsSeen = 0

  constructor({ leases, turns }: { readonly leases: Leases; readonly turns: Turns }) {
    this.#leases = leases
    this.#turns = turns
  }

  async takeTurn(): Promise<Turn> {
    for (;;) {
      const isAlone = this.#mustBeAlone
      const end = await this.#turns.take(isAlone)
      const { takeovers, grantsWithSuspects } = this.#leases
      const isWary = isAlone || this.#mostCrashes > 0 || this.#takeoversSeen !== takeovers
      if (isAlone || !this.#mustBeAlone) return { isAlone, isWary, takeovers, grantsWithSuspects, end }
      end() // while it waited, partitions came with entries that relays may have died of
    }
  }

  /** Takes in what was fetched in a turn. @returns false: these have to go back, and be fetched with more care */
  admit(entries: readonly DueEntry[], { isAlone, isWary, takeovers, grantsWithSuspects }: Turn): boolean {
    this.#mostCrashes = Math.max(0, ...entries.map(({ crashes }) => crashes))
    this.#takeoversSeen = takeovers
    this.#grantsWithSuspectsSeen = grantsWithSuspects
    if (this.#mostCrashes >= suspectAt) return isAlone
    return isWary || this.#mostCrashes === 0
  }

  get #mustBeAlone(): boolean {
    return this.#mostCrashes >= suspectAt || this.#grantsWithSuspectsSeen !== this.#leases.grantsWithSuspects
  }
}
