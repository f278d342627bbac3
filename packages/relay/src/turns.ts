import { deferred } from './deferred.ts'

/**
 * Lets lanes work side by side, or one of them alone: that one waits for the others to end, and keeps them out.
 *
 * First come, first served, so that nobody waits for ever.
 */
export class Turns {
  readonly #queue: { readonly isAlone: boolean; readonly enter: () => void }[] = []
  #working = 0
  #isOneAlone = false

  /** Resolves when it is the caller's turn, with the function that ends it: to be called once. */
  async take(isAlone: boolean): Promise<() => void> {
    const turn = deferred<void>()
    this.#queue.push({ isAlone, enter: () => turn.resolve() })
    this.#admit()
    await turn.promise
    return () => {
      this.#working -= 1
      this.#isOneAlone = false
      this.#admit()
    }
  }

  #admit(): void {
    for (;;) {
      const next = this.#queue[0]
      if (!next || this.#isOneAlone || (next.isAlone && this.#working > 0)) return
      this.#queue.shift()
      this.#working += 1
      this.#isOneAlone = next.isAlone
      next.enter()
    }
  }
}
