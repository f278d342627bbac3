import type { CallOptions, LeasedSource, OutboxEntry } from '@outbox/core'
import { bulkDeadLetters, checkedPurge } from '@outbox/core/adapter'
import { discard, listDead, purge, requeue } from './dead-letters.ts'
import { fetch } from './fetch.ts'
import { acquire, join, poll, release } from './leases.ts'
import { moveRow, pendingRows, rowOf } from './rows.ts'
import { settle } from './settle.ts'
import type { Row, State } from './state.ts'
import { stats } from './stats.ts'

/** The relay's half over `state`: each call is one atomic step, refused if its signal was aborted before it began. */
export function leasedSource(state: State, subscribers: Subscribers): LeasedSource {
  const step = async <T>(call: CallOptions | undefined, work: () => T): Promise<T> => {
    call?.signal?.throwIfAborted()
    return work()
  }
  return {
    fetchUnpublished: (limit, call) => step(call, () => pendingRows(state).slice(0, limit).map(outboxEntry)),
    markPublished: (ids, call) => step(call, () => markPublished(state, ids)),
    check: (call) => step(call, () => undefined),
    join: (request) => step(request, () => join(state, request)),
    poll: (request) => step(request, () => poll(state, request)),
    acquire: (request) => step(request, () => acquire(state, request)),
    release: (request) => step(request, () => release(state, request)),
    fetch: (request) => step(request, () => fetch(state, request)),
    settle: (request) => step(request, () => settle(state, request)),
    stats: (call) => step(call, () => stats(state)),
    purge: (request) => step(request, () => purge(state, checkedPurge(request))),
    deadLetters: bulkDeadLetters({
      list: (page) => step(page, () => listDead(state, page)),
      requeue: (ids, call) =>
        step(call, () => {
          const count = requeue(state, ids)
          if (count > 0) subscribers.wake()
          return count
        }),
      discard: (ids, call) => step(call, () => discard(state, ids)),
    }),
    subscribe: async (wake) => subscribers.add(wake),
  }
}

/** Who wants to know that something may be due. */
export interface Subscribers {
  add(wake: () => void): AsyncDisposable
  /** Calls everybody back soon, never within the caller's own call. */
  wake(): void
}

export function newSubscribers(): Subscribers {
  // Wrapped, so that one function subscribed twice is two subscriptions.
  const all = new Set<{ readonly wake: () => void }>()
  return {
    add(wake) {
      const subscription = { wake }
      all.add(subscription)
      return { [Symbol.asyncDispose]: async () => void all.delete(subscription) }
    },
    wake() {
      queueMicrotask(() => {
        for (const { wake } of all) wake()
      })
    },
  }
}

/** The trait's view of a row that is neither dead nor discarded; the date is a copy. */
export function outboxEntry(row: Row): OutboxEntry {
  const entry = { ...row.entry, occurredAt: new Date(row.entry.occurredAt) }
  return row.state.kind === 'published'
    ? { ...entry, published: true, publishedAt: new Date(row.state.at) }
    : { ...entry, published: false, publishedAt: null }
}

export function markPublished(state: State, ids: readonly string[]): void {
  for (const id of ids) {
    const row = rowOf(state, id)
    if (row?.state.kind !== 'pending') continue
    moveRow(state, row, { kind: 'published', at: new Date(state.now()), since: state.clock.monotonic() })
  }
}
