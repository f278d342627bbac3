import {
  type Enqueueable,
  type LeasedSource,
  type OneOrMany,
  OutboxError,
  type OutboxStore,
  type Receipt,
  uuidv7Generator,
  type Wake,
} from '@outbox/core'
import { checkedPurge, entriesFrom, knownOptions } from '@outbox/core/adapter'
import { checkMaxPayloadBytes } from '../shared/options.ts'
import { check, outboxSubject } from './check.ts'
import { commitsOf } from './commits.ts'
import { deadLettersIn } from './dead-letters.ts'
import { isLoneClient } from './drivers.ts'
import { enqueue } from './enqueue.ts'
import { withDurableCommit } from './fence.ts'
import { fetch } from './fetch.ts'
import { checkDatabase, type PgDatabase, type PgTransaction } from './handles.ts'
import { acquire, join, poll, release } from './leases.ts'
import { listenThrough, sendsSimpleQueries } from './listen.ts'
import type { Engine } from './log/engine.ts'
import { checkNoLog } from './log/server.ts'
import { logSource } from './log/source.ts'
import { type Names, namesIn, type Place, placeOptions } from './names.ts'
import { preparedThrough } from './prepared.ts'
import type { Use } from './privileges.ts'
import { purge } from './purge.ts'
import { type Session, sessionOf } from './session.ts'
import { settle } from './settle.ts'
import { hearing, newOrigin } from './signals.ts'
import { settledStates } from './states.ts'
import { stats } from './stats.ts'
import { keepListening } from './subscription.ts'
import { fetchUnpublished, markPublished } from './trait.ts'

/**
 * How relays learn of a commit before they poll.
 *
 * - `debounced`: shortly after the commit, outside every transaction, at most one notification in a few milliseconds
 *   and process. Lost if the process ends at that moment; polling then finds the entry.
 * - `transaction`: inside the caller's transaction, so nothing is lost; but commits that notify wait for each other,
 *   which costs much throughput where many transactions commit at once.
 * - `off`: not at all; relays poll.
 */
export type NotifyMode = 'debounced' | 'transaction' | 'off'

export interface PgOutboxOptions extends Place {
  /** a drizzle database over a pool of node-postgres, postgres-js or PGlite; the outbox never closes it */
  readonly db: PgDatabase
  /** default `mark`; all relays of an outbox have the same, producers may differ */
  readonly engine?: Engine | undefined
  /** largest payload, in bytes of JSON; default 1 MiB */
  readonly maxPayloadBytes?: number | undefined
  /** mints the ids of events that bring none; default UUIDv7, ascending in this process */
  readonly ids?: (() => string) | undefined
  /** default `debounced` */
  readonly notify?: NotifyMode | undefined
  /** false: no connection is kept for LISTEN, as behind a transaction pooler; relays poll. Default true */
  readonly listen?: boolean | undefined
  /**
   * false: none of the relay's statements is prepared through node-postgres. Where a pooler loses prepared statements, the outbox finds out
   * by itself; this is for one that keeps a connection to a client which has prepared any. Default true
   */
  readonly prepare?: boolean | undefined
}

/** An outbox in PostgreSQL. */
export interface PgOutbox extends OutboxStore<PgTransaction> {
  /** As `Outbox.enqueue`: one statement, and a second one where the batch is out of the ordinary. */
  readonly enqueue: (tx: PgTransaction, events: OneOrMany<Enqueueable>) => Promise<readonly Receipt[]>
  /** As `LeasedSource.subscribe`: by LISTEN, and for this very object's own commits. Disposing ends both. */
  subscribe(wake: Wake): Promise<AsyncDisposable>
}

/**
 * An outbox in PostgreSQL, through the application's own drizzle database.
 *
 * Making one sends nothing. `enqueue` runs on the transaction that it is given; everything else runs on `db`, in
 * statements that commit by themselves, so `db` must not be inside a transaction: give it a pool.
 *
 * @example
 * ```ts
 * const outbox = pgOutbox({ db })
 * await db.transaction(async (tx) => {
 *   await tx.insert(orders).values(order)
 *   await outbox.enqueue(tx, event('order.placed', { aggregateId: order.id, payload: order }))
 * })
 * ```
 * @throws {OutboxError} `invalid-option`, naming the option and what to write instead
 */
export function pgOutbox(options: PgOutboxOptions): PgOutbox {
  const given = knownOptions('pgOutbox', options, known)
  const { db, engine = 'mark', notify = 'debounced', listen = true, prepare = true, ids = uuidv7Generator() } = given
  checkOptions(given)
  const names = namesIn(given)
  const prepared = prepare ? preparedThrough(db.$client) : undefined
  const session = (use: Use): Session => {
    const own = sessionOf(db, { names, use }, prepared)
    if (!isLoneClient(db.$client)) return own
    return { ...own, run: (statement, call) => own.run(withDurableCommit(statement), call) }
  }
  const origin = newOrigin()
  const commits = commitsOf(session('relay'), origin, notify === 'debounced' ? names.channel : undefined)
  const entryOptions = { newId: ids, now: Date.now, maxPayloadBytes: checkMaxPayloadBytes(given.maxPayloadBytes) }
  const enqueueOptions = {
    names,
    toLog: engine === 'log',
    openCheck: sendsSimpleQueries(db.$client) ? 'clock' : 'setting',
    notifies: notify === 'transaction',
  } as const

  return Object.freeze({
    async enqueue(tx: PgTransaction, events: OneOrMany<Enqueueable>) {
      const entries = entriesFrom(events, entryOptions)
      const { receipts, transactionId } = await enqueue(enqueueOptions, tx, entries)
      if (transactionId !== undefined) {
        commits.expect({ name: transactionId, partitions: entries.map(({ partition }) => partition) })
      }
      return receipts
    },
    async subscribe(wake: Wake) {
      const end = commits.subscribe(wake)
      const listenOn = listen ? listenThrough(db.$client) : undefined
      const listening = listenOn && (await keepListening(listenOn, names.channel, hearing(wake, origin)))
      return {
        async [Symbol.asyncDispose]() {
          end()
          await listening?.[Symbol.asyncDispose]()
        },
      }
    },
    ...(engine === 'log' ? logSource(session, names) : markSource(session, names)),
  } satisfies PgOutbox)
}

function markSource(sessionFor: (use: Use) => Session, names: Names): LeasedSource {
  const session = sessionFor('relay')
  const purging = sessionFor('purge')
  const settled = {
    table: names.entries,
    key: ['id'],
    time: 'settled_at',
    condition: `state in ${settledStates}`,
  }
  return {
    fetchUnpublished: (limit, options) => fetchUnpublished(session, names, limit, options),
    markPublished: (ids, options) => markPublished(session, names, ids, options),
    async check(options) {
      await check(session, outboxSubject(names), options)
      await checkNoLog(session, names, options)
    },
    join: (request) => join(session, names, request),
    poll: (request) => poll(session, names, request),
    acquire: (request) => acquire(session, names, request),
    release: (request) => release(session, names, request),
    fetch: (request) => fetch(session, names, request),
    settle: (request) => settle(session, names, request),
    stats: (options) => stats(session, names, options),
    purge: async (request) => purge(purging, settled, checkedPurge(request)),
    deadLetters: deadLettersIn(sessionFor('deadLetters'), names),
  }
}

const known: Readonly<Record<keyof PgOutboxOptions, true>> = {
  ...placeOptions,
  db: true,
  engine: true,
  maxPayloadBytes: true,
  ids: true,
  notify: true,
  listen: true,
  prepare: true,
}

function checkOptions({ db, engine, notify, listen, prepare, ids }: PgOutboxOptions): void {
  const refuse = (option: string, message: string): OutboxError<'invalid-option'> =>
    new OutboxError('invalid-option', `The option ${option} ${message}`, { option })
  checkDatabase(db)
  if (engine !== undefined && !['mark', 'log'].includes(engine)) throw refuse('engine', "must be 'mark' or 'log'.")
  if (notify !== undefined && !['debounced', 'transaction', 'off'].includes(notify)) {
    throw refuse('notify', "must be 'debounced', 'transaction' or 'off'.")
  }
  if (listen !== undefined && typeof listen !== 'boolean') throw refuse('listen', 'must be true or false.')
  if (prepare !== undefined && typeof prepare !== 'boolean') throw refuse('prepare', 'must be true or false.')
  if (ids !== undefined && typeof ids !== 'function') throw refuse('ids', 'must be a function that returns a UUID.')
}
