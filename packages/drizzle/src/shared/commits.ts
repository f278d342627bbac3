import type { Wake } from '@outbox/core'

const firstAskMs = 3
const longestAskMs = 250

/** What became of transactions, as the database tells. */
export interface Ended {
  /** what of it has ended, or need not be asked about again */
  readonly settled: readonly string[]
  /** what of it has committed */
  readonly committed: readonly string[]
}

/** A transaction that has enqueued something. */
export interface Expected {
  /** by which the database knows it */
  readonly name: string
  /** of its entries */
  readonly partitions: readonly number[]
}

/** What differs from database to database. */
export interface CommitsOptions {
  /** asks what became of these transactions, outside every transaction */
  readonly ask: (expected: readonly Expected[]) => Promise<Ended>
  /** milliseconds; a transaction that is open longer than that is left to polling */
  readonly patienceMs: number
  /** asks even while nobody in this process waits: the question tells others */
  readonly tellsOthers: boolean
}

/**
 * Notices when transactions of this process that enqueued have committed, and says so to those who wait in it.
 *
 * It asks at most once in a few milliseconds, ever less often while nothing has ended. A rolled back transaction wakes
 * nobody.
 *
 * It is a hint. What cannot be said, because the database does not answer or the process ends first, is found by
 * polling; so a question that fails is dropped. Its timer does not keep the process alive.
 */
export class Commits {
  readonly #options: CommitsOptions
  readonly #wakes = new Set<Wake>()
  readonly #expected = new Map<string, Expected & { readonly since: number }>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #delayMs = firstAskMs
  #isAsking = false

  constructor(options: CommitsOptions) {
    this.#options = options
  }

  /** Calls `wake` after commits of this process. @returns what ends that */
  subscribe(wake: Wake): () => void {
    // an entry of its own, though two subscribers may bring the same function
    const entry: Wake = (partitions) => wake(partitions)
    this.#wakes.add(entry)
    return () => void this.#wakes.delete(entry)
  }

  /** The transaction has enqueued something, perhaps not for the first time, and will end in one way or the other. */
  expect({ name, partitions }: Expected): void {
    if (!this.#options.tellsOthers && this.#wakes.size === 0) return
    const before = this.#expected.get(name)
    this.#expected.set(name, {
      name,
      partitions: [...new Set([...(before?.partitions ?? []), ...partitions])],
      since: before?.since ?? performance.now(),
    })
    // not as late as for those that have been open for long
    if (this.#timer !== undefined && this.#delayMs > firstAskMs) {
      clearTimeout(this.#timer)
      this.#timer = undefined
    }
    this.#delayMs = firstAskMs
    this.#askLater()
  }

  #askLater(): void {
    if (this.#isAsking || this.#timer !== undefined) return
    this.#timer = setTimeout(() => void this.#ask(), this.#delayMs)
    this.#timer.unref()
  }

  async #ask(): Promise<void> {
    this.#timer = undefined
    this.#isAsking = true
    this.#forgetTheOld()
    const expected = [...this.#expected.values()]
    this.#delayMs = Math.min(this.#delayMs * 2, longestAskMs)
    try {
      const { settled, committed } =
        expected.length === 0 ? { settled: [], committed: [] } : await this.#options.ask(expected)
      for (const one of expected) if (settled.includes(one.name)) this.#forget(one)
      this.#wakeFor(expected.filter(({ name }) => committed.includes(name)))
    } catch {
      for (const one of expected) this.#forget(one)
    } finally {
      this.#isAsking = false
    }
    if (this.#expected.size > 0) this.#askLater()
  }

  /** Not if it has enqueued more since: then it is asked about, and told, once more. */
  #forget(one: Expected): void {
    if (this.#expected.get(one.name) === one) this.#expected.delete(one.name)
  }

  #wakeFor(committed: readonly Expected[]): void {
    if (committed.length === 0) return
    const partitions = [...new Set(committed.flatMap((one) => one.partitions))]
    for (const wake of this.#wakes) wake(partitions)
  }

  #forgetTheOld(): void {
    for (const one of this.#expected.values()) {
      if (performance.now() - one.since > this.#options.patienceMs) this.#forget(one)
    }
  }
}
