import type { LeasedSource } from '@outbox/core'
import { checkedPurge } from '@outbox/core/adapter'
import { check, logSubject } from '../check.ts'
import { deadLettersIn } from '../dead-letters.ts'
import type { Names } from '../names.ts'
import type { Use } from '../privileges.ts'
import type { Session } from '../session.ts'
import { type FetchMemory, fetch } from './fetch.ts'
import { acquire, join, poll, release } from './leases.ts'
import { purge } from './purge.ts'
import { checkPositions, checkServer } from './server.ts'
import { settle } from './settle.ts'
import { stats } from './stats.ts'
import { fetchUnpublished, markPublished } from './trait.ts'

/** A relay's half of an outbox with the log engine. Dead letters stand aside, where the mark engine has them. */
export function logSource(sessionFor: (use: Use) => Session, names: Names): LeasedSource {
  const session = sessionFor('logRelay')
  const purging = sessionFor('logPurge')
  const memory: FetchMemory = {
    withoutSmoothFor: 0,
    ignoresCrowdsFor: 0,
    sideFirst: new Set(),
    fronts: new Map(),
  }
  return {
    fetchUnpublished: (limit, options) => fetchUnpublished(session, names, limit, options),
    markPublished: (ids, options) => markPublished(session, names, ids, options),
    async check(options) {
      await check(session, logSubject(names), options)
      await checkServer(session, names, options)
      await checkPositions(session, names, options)
    },
    join: (request) => join(session, names, request),
    poll: (request) => poll(session, names, request),
    acquire: (request) => acquire(session, names, request),
    release: (request) => release(session, names, request),
    fetch: (request) => fetch(session, names, request, memory),
    settle: (request) => settle(session, names, request),
    stats: (options) => stats(session, names, options),
    purge: async (request) => purge(purging, names, checkedPurge(request)),
    deadLetters: deadLettersIn(sessionFor('deadLetters'), names),
  }
}
