import {
  type Awaitable,
  type Clock,
  type Enqueueable,
  type IdSources,
  limits,
  type OneOrMany,
  type OutboxStore,
  type Receipt,
  systemClock,
  uuidv7Generator,
} from '@outbox/core'
import { invalidOption, knownOptions, requireCount } from '@outbox/core/adapter'
import { enqueue } from './enqueue.ts'
import { leasedSource, newSubscribers } from './leased-source.ts'
import { lockTable } from './locks.ts'
import { countPending } from './rows.ts'
import { emptyState, type State } from './state.ts'
import { type MemoryTransaction, type Transactions, transactionsOver } from './transaction.ts'

export interface MemoryOutboxOptions {
  /** what waiting, ages and purging are measured with; default the machine's clock */
  readonly clock?: Clock | undefined
  /** where ids and dates come from; default `Date.now` and the platform's random numbers */
  readonly ids?: IdSources | undefined
  /** bytes of JSON, default 1 MiB */
  readonly maxPayloadBytes?: number | undefined
  /**
   * What becomes of a transaction that needs what another open one is writing: it waits (the default, as in SQL), or
   * is told `busy` at once, as in MongoDB, and must be run again.
   */
  readonly onConflict?: 'wait' | 'busy' | undefined
}

/** What an inbox needs of its outbox. */
export const internals: unique symbol = Symbol('internals')

export interface MemoryOutbox extends OutboxStore<MemoryTransaction> {
  readonly enqueue: (tx: MemoryTransaction, events: OneOrMany<Enqueueable>) => Promise<readonly Receipt[]>
  /**
   * Runs `work` in a transaction: what it enqueued is there once the promise resolves, and never was if `work` throws.
   *
   * Any number may be open at once. Two that number the same aggregate, or write the same id, wait for each other
   * (or meet `busy`, by option); a deadlock is an error, `busy`. Rejects with what `work` threw; with `busy`, where it
   * was told so and `work` went on.
   */
  transaction<T>(work: (tx: MemoryTransaction) => Awaitable<T>): Promise<T>
  /** committed entries still to be published: neither published nor dead nor discarded */
  readonly length: number
  /** true if `length` is 0 */
  readonly isEmpty: boolean
  readonly [internals]: { readonly state: State; readonly transactions: Transactions }
}

/**
 * An outbox in this process's memory, with the transactions, leases, fences and dead letters of every other store.
 *
 * For tests and simulations, and to read: it is what a store must do, without a database in the way. All that it
 * holds is gone with the process. Its calls are atomic, so any number of relays in this process may share it.
 *
 * @throws {OutboxError} `invalid-option`
 * @example
 * ```ts
 * const outbox = memoryOutbox()
 * await outbox.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId: '7', payload: {} })))
 * ```
 */
export function memoryOutbox(options: MemoryOutboxOptions = {}): MemoryOutbox {
  const of = 'memoryOutbox'
  const given = knownOptions(of, options, { clock: true, ids: true, maxPayloadBytes: true, onConflict: true })
  const { clock = systemClock, maxPayloadBytes = limits.payloadBytes, onConflict = 'wait' } = given
  const ids = knownOptions(of, given.ids ?? {}, { now: true, random: true }, 'ids.')
  requireCount(of, 'maxPayloadBytes', maxPayloadBytes)
  if (onConflict !== 'wait' && onConflict !== 'busy') throw invalidOption(of, 'onConflict', "must be 'wait' or 'busy'")
  const now = ids.now ?? Date.now
  const newId = uuidv7Generator(ids)
  const state = emptyState({ clock, now, source: newId() })
  const subscribers = newSubscribers()
  const transactions = transactionsOver(state, lockTable(onConflict), subscribers.wake)
  return {
    ...leasedSource(state, subscribers),
    transaction: transactions.run,
    enqueue: (tx, events) => enqueue(state, transactions, { newId, now, maxPayloadBytes }, tx, events),
    get length() {
      return countPending(state)
    },
    get isEmpty() {
      return countPending(state) === 0
    },
    [internals]: { state, transactions },
  }
}
