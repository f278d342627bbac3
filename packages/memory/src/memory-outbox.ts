import {
  type Awaitable,
  type CallOptions,
  type Clock,
  type Enqueueable,
  type IdSources,
  limits,
  type OneOrMany,
  OutboxError,
  type OutboxEntry,
  type OutboxStore,
  type Receipt,
  systemClock,
  uuidv7Generator,
} from '@outbox/core'
import { discard, listDead, purge, requeue } from './dead-letters.ts'
import { enqueue } from './enqueue.ts'
import { fetch } from './fetch.ts'
import { acquire, join, poll, release } from './leases.ts'
import { moveRow, pendingRows } from './rows.ts'
import { settle } from './settle.ts'
import { emptyState, type Row, type State } from './state.ts'
import { type MemoryTransaction, transactionsOver } from './transaction.ts'

export interface MemoryOutboxOptions {
  /** what waiting, ages and purging are measured with; default the machine's clock */
  readonly clock?: Clock
  /** where ids and dates come from; default `Date.now` and the platform's random numbers */
  readonly ids?: IdSources
  /** bytes of JSON, default 1 MiB */
  readonly maxPayloadBytes?: number
}

export interface MemoryOutbox extends OutboxStore<MemoryTransaction> {
  readonly enqueue: (tx: MemoryTransaction, events: OneOrMany<Enqueueable>) => Promise<readonly Receipt[]>
  /**
   * Runs `work` in a transaction: what it enqueued is there once the promise resolves, and never was if `work` throws.
   *
   * Any number may be open at once. Two that number the same aggregate, or write the same id, wait for each other; a
   * deadlock is an error, `busy`. Rejects with what `work` threw.
   */
  transaction<T>(work: (tx: MemoryTransaction) => Awaitable<T>): Promise<T>
  /** committed entries still to be published: neither published nor dead nor discarded */
  readonly length: number
  /** true if `length` is 0 */
  readonly isEmpty: boolean
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
  const { clock = systemClock, ids = {}, maxPayloadBytes = limits.payloadBytes } = options
  if (!Number.isSafeInteger(maxPayloadBytes) || maxPayloadBytes < 1) {
    throw new OutboxError('invalid-option', 'memoryOutbox: maxPayloadBytes must be a whole number of bytes from 1 on.', {
      option: 'maxPayloadBytes',
    })
  }
  const now = ids.now ?? Date.now
  const newId = uuidv7Generator(ids)
  const state = emptyState({ clock, now, source: newId() })
  const subscribers = new Set<() => void>()
  const wakeAll = (): void => {
    for (const wake of subscribers) queueMicrotask(wake)
  }
  const transactions = transactionsOver(state, wakeAll)
  const entryOptions = { newId, now, maxPayloadBytes }

  /** Every call of the relay's half: refused when it was aborted before it began, one atomic step otherwise. */
  const step = async <T>(call: CallOptions | undefined, work: () => T): Promise<T> => {
    call?.signal?.throwIfAborted()
    return work()
  }

  return {
    transaction: (work) => transactions.run(work),
    enqueue: (tx, events) => enqueue(state, transactions, entryOptions, tx, events),
    get length() {
      return pendingRows(state).length
    },
    get isEmpty() {
      return pendingRows(state).length === 0
    },
    fetchUnpublished: (limit, call) => step(call, () => pendingRows(state).slice(0, limit).map(unpublished)),
    markPublished: (ids, call) => step(call, () => markPublished(state, ids)),
    check: (call) => step(call, () => undefined),
    join: (request) => step(request, () => join(state, request)),
    poll: (request) => step(request, () => poll(state, request)),
    acquire: (request) => step(request, () => acquire(state, request)),
    release: (request) => step(request, () => release(state, request)),
    fetch: (request) => step(request, () => fetch(state, request)),
    settle: (request) => step(request, () => settle(state, request)),
    stats: (call) => step(call, () => stats(state)),
    purge: (request) => step(request, () => purge(state, request)),
    deadLetters: {
      list: (page) => step(page, () => listDead(state, page)),
      requeue: (ids, call) =>
        step(call, () => {
          const count = requeue(state, ids)
          if (count > 0) wakeAll()
          return count
        }),
      discard: (ids, call) => step(call, () => discard(state, ids)),
    },
    async subscribe(wake) {
      const own = (): void => wake()
      subscribers.add(own)
      return { [Symbol.asyncDispose]: async () => void subscribers.delete(own) }
    },
  }
}

function unpublished(row: Row): OutboxEntry {
  return { ...row.entry, occurredAt: new Date(row.entry.occurredAt), published: false, publishedAt: null }
}

function markPublished(state: State, ids: readonly string[]): void {
  for (const id of ids) {
    const row = state.rows.get(id)
    if (row?.state.kind !== 'pending') continue
    moveRow(state, row, { kind: 'published', at: new Date(state.now()), since: state.clock.monotonic() })
  }
}

function stats(state: State): { pending: number; dead: number; oldestPendingAgeMs: number | null } {
  const pending = pendingRows(state)
  const dead = [...state.rows.values()].filter((row) => row.state.kind === 'dead').length
  const oldest = pending.reduce((least, row) => Math.min(least, row.enqueuedAt), Number.POSITIVE_INFINITY)
  return {
    pending: pending.length,
    dead,
    oldestPendingAgeMs: pending.length === 0 ? null : Math.max(0, state.clock.monotonic() - oldest),
  }
}
