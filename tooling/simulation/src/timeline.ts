interface Happening {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/**
 * The world's own time, in milliseconds: it passes only from one happening to the next.
 *
 * After each happening everything that it set going runs as far as it can, so that what follows depends on nothing but
 * the order of happenings. Happenings of one moment run in the order in which they were planned.
 */
export class Timeline {
  #now = 0
  #planned = 0
  /** latest first, so that the next one is at the end */
  readonly #queue: Happening[] = []

  get now(): number {
    return this.#now
  }

  /** how many happenings have run */
  steps = 0

  /** @returns takes it back */
  after(delayMs: number, run: () => void): () => void {
    const happening = { at: this.#now + Math.max(0, delayMs), order: this.#planned++, run }
    this.#queue.splice(this.#placeOf(happening), 0, happening)
    return () => {
      const index = this.#queue.indexOf(happening)
      if (index >= 0) this.#queue.splice(index, 1)
    }
  }

  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve))
  }

  /** Lets time pass until `time`, or until `isOver` says so after some happening. */
  async run(time: number, isOver: () => boolean = () => false): Promise<void> {
    await allSetGoing()
    while (!isOver()) {
      const next = this.#queue.at(-1)
      if (!next || next.at > time) {
        this.#now = Math.max(this.#now, time)
        return
      }
      this.#queue.pop()
      this.#now = next.at
      this.steps += 1
      next.run()
      await allSetGoing()
    }
  }

  #placeOf({ at, order }: Happening): number {
    let low = 0
    let high = this.#queue.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#queue[middle]
      if (other && (other.at > at || (other.at === at && other.order > order))) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** A macrotask begins only when no promise has anything left to do. */
function allSetGoing(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
