/** For stores whose driver takes one statement at a time: work in one place takes turns: what is given meanwhile begins when all before it has ended, in one way or the other. */
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
