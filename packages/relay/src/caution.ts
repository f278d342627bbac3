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
  readonly inheritances: number
  readonly suspicions: number
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
  /** how many deaths an entry of the last fetch was in */
  #deaths = 0
  #inheritancesSeen = 0
  #suspicionsSeen = 0

  constructor({ leases, turns }: { readonly leases: Leases; readonly turns: Turns }) {
    this.#leases = leases
    this.#turns = turns
  }

  async takeTurn(): Promise<Turn> {
    for (;;) {
      const isAlone = this.#mustBeAlone
      const end = await this.#turns.take(isAlone)
      const { inheritances, suspicions } = this.#leases
      const isWary = isAlone || this.#deaths > 0 || this.#inheritancesSeen !== inheritances
      if (isAlone || !this.#mustBeAlone) return { isAlone, isWary, inheritances, suspicions, end }
      end() // while it waited, partitions came with entries that relays may have died of
    }
  }

  /** Takes in what was fetched in a turn. @returns false: these have to go back, and be fetched with more care */
  allows(entries: readonly DueEntry[], { isAlone, isWary, inheritances, suspicions }: Turn): boolean {
    this.#deaths = Math.max(0, ...entries.map(({ crashes }) => crashes))
    this.#inheritancesSeen = inheritances
    this.#suspicionsSeen = suspicions
    if (this.#deaths >= suspectAt) return isAlone
    return isWary || this.#deaths === 0
  }

  get #mustBeAlone(): boolean {
    return this.#deaths >= suspectAt || this.#suspicionsSeen !== this.#leases.suspicions
  }
}
