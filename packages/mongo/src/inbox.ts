import type { Awaitable, InboxStore } from '@outbox/core'
import { checkDelivery, checkedPurge, checkHandled, endedUnderHandler, knownOptions } from '@outbox/core/adapter'
import { check, type Subject } from './check.ts'
import { databaseOf } from './database.ts'
import type { MongoClient, MongoDatabase, MongoSession } from './driver.ts'
import { inboxVersion } from './layout.ts'
import { callOf, type Names, namesIn, type Place } from './names.ts'
import { checkConnection } from './options.ts'
import { purge } from './purge.ts'
import { transactionOn } from './transaction.ts'

export interface MongoInboxOptions extends Place {
  /** the driver's client, whose sessions `once` gets; the inbox never closes it */
  readonly client: MongoClient
  /** the database of that client in which the inbox is, and what handlers write */
  readonly db: MongoDatabase
}

/** An inbox in MongoDB. */
export interface MongoInbox extends InboxStore<MongoSession> {
  readonly once: (
    session: MongoSession,
    consumer: string,
    messageId: string,
    handler: () => Awaitable<unknown>,
  ) => Promise<boolean>
}

/**
 * An inbox in MongoDB: one document per consumer and message, written in the transaction in which the handler runs.
 *
 * A delivery of a message that is being handled elsewhere is told `busy` at once, and `session.withTransaction` runs it
 * again; once the other has committed, it returns false. A handler may run several times before one run commits: what it
 * does outside of the transaction is not undone.
 *
 * @example
 * ```ts
 * const inbox = mongoInbox({ client, db })
 * await client.withSession((session) =>
 *   session.withTransaction(() =>
 *     inbox.once(session, 'billing', message.id, async () => {
 *       await invoices.insertOne({ orderId: message.aggregateId }, { session })
 *     }),
 *   ),
 * )
 * ```
 * @throws {OutboxError} `invalid-option`, naming the option and what to write instead
 */
export function mongoInbox(options: MongoInboxOptions): MongoInbox {
  const given = knownOptions('mongoInbox', options, { client: true, db: true, prefix: true })
  const { db } = given
  checkConnection(given)
  const names = namesIn(given)
  const database = databaseOf(db, names)

  return Object.freeze({
    async once(session: MongoSession, consumer: string, messageId: string, handler: () => Awaitable<unknown>) {
      checkDelivery(consumer, messageId, handler)
      const transaction = transactionOn(db, session, 'once')
      // a mark that is there stays as it is; the time is the server's
      const update = [{ $set: { handledAt: { $ifNull: ['$handledAt', '$$NOW'] } } }]
      const _id = { consumer, messageId }
      const mark = { q: { _id }, u: update, upsert: true }
      const inserted = await transaction.inTurn(() => transaction.update(names.inbox, [mark]))
      if (inserted.length === 0) return false
      checkHandled(await handler())
      if (!transaction.isOpen()) throw endedUnderHandler()
      // where the handler caught an error that ended the transaction on the server, the driver does not know: this read does
      await transaction.inTurn(() => transaction.find(names.inbox, { _id }, { projection: { _id: 1 } }))
      return true
    },
    check: (call) => check(database, subject(names), call),
    purge: async (request) => purge(database, { kind: 'inbox', time: 'handledAt' }, checkedPurge(request)),
  } satisfies MongoInbox)
}

function subject(names: Names): Subject {
  return {
    title: 'inbox',
    names,
    kinds: ['inbox', 'meta'],
    versionKey: 'inbox-version',
    version: inboxVersion,
    remedy: `Call ${callOf('setupInbox', names)}, once, with a user who may create collections and indexes.`,
  }
}
