import type { CallOptions, LeasedSource } from '@outbox/core'
import { bulkDeadLetters, checkedPurge } from '@outbox/core/adapter'
import { check } from './check.ts'
import { discard, listDead, requeue } from './dead-letters.ts'
import { fetch } from './fetch.ts'
import { acquire, join, poll, release } from './leases.ts'
import type { TableNames } from './names.ts'
import { purgeInSteps } from './purge.ts'
import { settle } from './settle.ts'
import { outboxSubject } from './subjects.ts'
import { fetchUnpublished, markPublished, purgeSome, stats } from './trait.ts'
import { type Transact, writeLock } from './transact.ts'
import type { Waker } from './wake.ts'

/** All but `enqueue`, on whichever driver: each call runs in transactions of its own: one, but for `check`, `fetch` and `purge`. */
export function relayHalf(names: TableNames, transact: Transact, waker: Waker): LeasedSource {
  const changeDead =
    (change: typeof requeue) =>
    async (ids: readonly string[], call?: CallOptions): Promise<number> => {
      const count = await transact('write', () => change(names, ids), call)
      waker.wakeSoon()
      return count
    }
  return {
    fetchUnpublished: (limit, call) => transact('read', () => fetchUnpublished(names, limit), call),
    markPublished: (ids, call) => transact('write', () => markPublished(names, ids), call),
    check: (call) => check(transact, outboxSubject(names.prefix), writeLock(names.meta, 'key'), call),
    join: (request) => transact('write', () => join(names, request.holder), request),
    poll: (request) => transact('write', () => poll(names, request.holder), request),
    acquire: (request) => transact('write', () => acquire(names, request), request),
    release: (request) => transact('write', () => release(names, request), request),
    async fetch(request) {
      for (;;) {
        const { entries, isComplete } = await transact('write', () => fetch(names, request), request)
        if (isComplete || entries.length > 0) return entries
        // What stood in the way is parked now. Others have a turn before the next stretch.
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    settle: (request) => transact('write', () => settle(names, request), request),
    stats: (call) => transact('read', () => stats(names), call),
    deadLetters: bulkDeadLetters({
      list: (page) => transact('read', () => listDead(names, page), page),
      requeue: changeDead(requeue),
      discard: changeDead(discard),
    }),
    async purge(request) {
      const { olderThanMs, limit } = checkedPurge(request)
      return purgeInSteps(limit, (most) => transact('write', () => purgeSome(names, olderThanMs, most), request))
    },
    subscribe: async (wake) => waker.subscribe(wake),
  }
}
