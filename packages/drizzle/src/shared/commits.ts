const firstLookMs = 3
const longestLookMs = 250

/** How a database tells what became of transactions. */
export interface Look {
  /** what of it has ended, or need not be asked about again */
  readonly settled: readonly string[]
  readonly anyCommitted: boolean
}

/** What differs from database to database. */
export interface CommitsOptions {
  /** asks what became of the transactions known by these names, outside every transaction */
  readonly look: (expected: readonly string[]) => Promise<Look>
  /** milliseconds; a transaction that is open longer than that is left to polling */
  readonly patienceMs: number
  /** looks even while nobody in this process waits: the look tells others */
  readonly tellsOthers: boolean
}

/**
 * Notices when transactions of this process that enqueued have committed, and says so to those who wait in it.
 *
 * It looks at most once in a few milliseconds, ever less often while nothing has ended. A rolled back transaction wakes
 * nobody.
 *
 * It is a hint. What cannot be said, because the database does not answer or the process ends first, is found by
 * polling; so a failed look is dropped. Its timer does not keep the process alive.
 */
export class Commits {
  readonly #options: CommitsOptions
  readonly #wakes = new Set<() => void>()
  readonly #expectedSince = new Map<string, number>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #delayMs = firstLookMs
  #isLooking = false

  constructor(options: CommitsOptions) {
    this.#options = options
  }

  /** Calls `wake` after commits of this process. @returns what ends that */
  subscribe(wake: () => void): () => void {
    // an entry of its own, though two subscribers may bring the same function
    const entry = (): void => wake()
    this.#wakes.add(entry)
    return () => void this.#wakes.delete(entry)
  }

  /** The transaction known by this name has enqueued something, and will end in one way or the other. */
  expect(name: string): void {
    if (!this.#options.tellsOthers && this.#wakes.size === 0) return
    if (!this.#expectedSince.has(name)) this.#expectedSince.set(name, performance.now())
    this.#delayMs = firstLookMs
    this.#lookLater()
  }

  #lookLater(): void {
    if (this.#isLooking || this.#timer !== undefined) return
    this.#timer = setTimeout(() => void this.#look(), this.#delayMs)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    this.#timer = undefined
    this.#isLooking = true
    this.#forgetTheOld()
    const expected = [...this.#expectedSince.keys()]
    this.#delayMs = Math.min(this.#delayMs * 2, longestLookMs)
    try {
      const { settled, anyCommitted } =
        expected.length === 0 ? { settled: [], anyCommitted: false } : await this.#options.look(expected)
      for (const name of settled) this.#expectedSince.delete(name)
      if (anyCommitted) for (const wake of this.#wakes) wake()
    } catch {
      for (const name of expected) this.#expectedSince.delete(name)
    } finally {
      this.#isLooking = false
    }
    if (this.#expectedSince.size > 0) this.#lookLater()
  }

  #forgetTheOld(): void {
    for (const [name, since] of this.#expectedSince) {
      if (performance.now() - since > this.#options.patienceMs) this.#expectedSince.delete(name)
    }
  }
}
