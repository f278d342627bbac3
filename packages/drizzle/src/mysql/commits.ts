import { by } from './indexes.ts'
import { uuidLiteral } from './literals.ts'
import type { Names } from './names.ts'
import { uuidIn } from './rows.ts'
import type { Session } from './session.ts'

const firstLookMs = 3
const longestLookMs = 250
/** a transaction that is open longer than that is left to polling; one that was rolled back is looked for as long */
const patienceMs = 5_000

/**
 * Notices when transactions of this process that enqueued have committed, and says so to those who wait in it.
 *
 * It looks for an entry of theirs, outside every transaction and at most once in a few milliseconds. A rolled back
 * transaction wakes nobody.
 *
 * It is a hint. What cannot be said, because the database does not answer or the process ends first, is found by
 * polling; so a failed look is dropped. Its timer does not keep the process alive.
 */
export class Commits {
  readonly #session: Session
  readonly #names: Names
  readonly #wakes = new Set<() => void>()
  readonly #expectedSince = new Map<string, number>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #delayMs = firstLookMs
  #isLooking = false

  constructor(session: Session, names: Names) {
    this.#session = session
    this.#names = names
  }

  /** Calls `wake` after commits of this process. @returns what ends that */
  subscribe(wake: () => void): () => void {
    // an entry of its own, though two subscribers may bring the same function
    const entry = (): void => wake()
    this.#wakes.add(entry)
    return () => void this.#wakes.delete(entry)
  }

  /** A transaction has written this entry, and will end in one way or the other. */
  expect(id: string): void {
    if (this.#wakes.size === 0) return
    this.#expectedSince.set(id, performance.now())
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
      const committed = expected.length === 0 ? [] : await this.#committedAmong(expected)
      for (const id of committed) this.#expectedSince.delete(id)
      if (committed.length > 0) for (const wake of this.#wakes) wake()
    } catch {
      for (const id of expected) this.#expectedSince.delete(id)
    } finally {
      this.#isLooking = false
    }
    if (this.#expectedSince.size > 0) this.#lookLater()
  }

  #forgetTheOld(): void {
    for (const [id, since] of this.#expectedSince) {
      if (performance.now() - since > patienceMs) this.#expectedSince.delete(id)
    }
  }

  async #committedAmong(ids: readonly string[]): Promise<readonly string[]> {
    const rows = await this.#session.read(
      `select hex(id) as id from ${this.#names.entries} ${by(this.#names, 'entries_id')}
      where id in (${ids.map(uuidLiteral).join(', ')})`,
    )
    return rows.map((row) => uuidIn(row, 'id'))
  }
}
