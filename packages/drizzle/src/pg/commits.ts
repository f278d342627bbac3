import { booleanIn, type Row, textIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf } from './statement.ts'

const firstLookMs = 3
const longestLookMs = 250
/** a transaction that is open longer than that is left to polling */
const patienceMs = 60_000

/**
 * Notices when transactions that enqueued have committed, and says so: to those who wait in this process, and on the
 * database's channel.
 *
 * It asks PostgreSQL what became of them, outside every transaction and at most once in a few milliseconds: a
 * notification inside the producer's transaction would make all commits of the database wait for each other. A rolled
 * back transaction wakes nobody.
 *
 * It is a hint. What cannot be said, because the database does not answer or the process ends first, is found by
 * polling; so a failed look is dropped. Its timer does not keep the process alive.
 */
export class Commits {
  readonly #session: Session
  readonly #channel: string | undefined
  readonly #wakes = new Set<() => void>()
  readonly #openSince = new Map<string, number>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #delayMs = firstLookMs
  #isLooking = false

  /** @param channel - where to notify; undefined: only this process is told */
  constructor(session: Session, channel: string | undefined) {
    this.#session = session
    this.#channel = channel
  }

  /** Calls `wake` after commits of this process. @returns what ends that */
  subscribe(wake: () => void): () => void {
    // an entry of its own, though two subscribers may bring the same function
    const entry = (): void => wake()
    this.#wakes.add(entry)
    return () => void this.#wakes.delete(entry)
  }

  /** A transaction has enqueued something, and will end in one way or the other. */
  expect(transactionId: string): void {
    if (this.#channel === undefined && this.#wakes.size === 0) return
    if (!this.#openSince.has(transactionId)) this.#openSince.set(transactionId, performance.now())
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
    const expected = [...this.#openSince.keys()]
    this.#delayMs = Math.min(this.#delayMs * 2, longestLookMs)
    try {
      const [row] = expected.length === 0 ? [] : await this.#session.run(this.#statement(expected))
      if (row) this.#tell(row, expected)
    } catch {
      for (const transactionId of expected) this.#openSince.delete(transactionId)
    } finally {
      this.#isLooking = false
    }
    if (this.#openSince.size > 0) this.#lookLater()
  }

  #forgetTheOld(): void {
    for (const [transactionId, since] of this.#openSince) {
      if (performance.now() - since > patienceMs) this.#openSince.delete(transactionId)
    }
  }

  #tell(row: Row, expected: readonly string[]): void {
    const open = new Set(textIn(row, 'open').split(' '))
    for (const transactionId of expected) if (!open.has(transactionId)) this.#openSince.delete(transactionId)
    if (booleanIn(row, 'any_committed')) for (const wake of this.#wakes) wake()
  }

  #statement(transactionIds: readonly string[]) {
    const notified = this.#channel === undefined ? 'null' : `pg_notify('${this.#channel}', '')::text`
    const text = `
with ended as materialized (
  select id, pg_xact_status(id) as status from unnest($1::text::xid8[]) id
)
select coalesce(string_agg(id::text, ' ') filter (where status = 'in progress'), '') as open,
  coalesce(bool_or(status = 'committed'), false) as any_committed,
  case when bool_or(status = 'committed') then ${notified} end as notified
from ended`
    return { text, values: [arrayOf(transactionIds)] }
  }
}
