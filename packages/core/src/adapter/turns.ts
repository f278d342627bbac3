/**
 * For stores whose driver takes one statement at a time: the work given for one place runs in the order given, one after
 * the other. Work that fails keeps nothing from running.
 */
export class Turns<Place extends object> {
  readonly #last = new WeakMap<Place, Promise<unknown>>()

  async take<Result>(place: Place, work: () => Promise<Result>): Promise<Result> {
    const turn = after(this.#last.get(place), work)
    this.#last.set(place, turn)
    return turn
  }
}

async function after<Result>(before: Promise<unknown> | undefined, work: () => Promise<Result>): Promise<Result> {
  await Promise.allSettled([before]) // how it ended is told to whoever gave it
  return work()
}
