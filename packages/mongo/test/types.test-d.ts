import type { Enqueue, Inbox } from '@outbox/core'
import { mongoInbox, mongoOutbox, setup, setupInbox } from '@outbox/mongo'
import type * as driver7 from 'mongodb'
import type * as driver6 from 'mongodb-6'
import type mongoose from 'mongoose'

declare const seven: { client: driver7.MongoClient; db: driver7.Db; session: driver7.ClientSession }
declare const six: { client: driver6.MongoClient; db: driver6.Db; session: driver6.ClientSession }
declare const connection: mongoose.Connection
declare const mongooseSession: mongoose.ClientSession
declare const event: Parameters<ReturnType<typeof mongoOutbox>['enqueue']>[1]

/** Compiled, never run: what the compiler takes and refuses. */
export async function takes(): Promise<void> {
  await setup(seven.db)
  await setupInbox(six.db, { prefix: 'billing_' })
  const outbox = mongoOutbox({ client: seven.client, db: seven.db })
  await outbox.enqueue(seven.session, event)
  await mongoOutbox({ client: six.client, db: six.db }).enqueue(six.session, event)
  await mongoInbox({ client: six.client, db: six.db }).once(six.session, 'billing', 'id', () => undefined)

  const { db } = connection
  if (!db) return
  const ofMongoose = mongoOutbox({ client: connection.getClient(), db })
  await ofMongoose.enqueue(mongooseSession, event)
  await connection.transaction((session) => ofMongoose.enqueue(session, event))

  const enqueue: Enqueue<driver7.ClientSession> = outbox
  const inbox: Inbox<driver6.ClientSession> = mongoInbox({ client: six.client, db: six.db })
  await enqueue.enqueue(seven.session, event)
  await inbox.once(six.session, 'billing', 'id', () => undefined)
}

export async function refuses(): Promise<void> {
  const outbox = mongoOutbox({ client: seven.client, db: seven.db })
  // @ts-expect-error: a client is no session
  await outbox.enqueue(seven.client, event)
  // @ts-expect-error: nor is a database
  await outbox.enqueue(seven.db, event)
  // @ts-expect-error: nor nothing
  await outbox.enqueue(undefined, event)
  // @ts-expect-error: the client is needed beside the database
  mongoOutbox({ db: seven.db })
  // @ts-expect-error: a collection is no database
  mongoOutbox({ client: seven.client, db: seven.db.collection('outbox_entries') })
  // @ts-expect-error: an inbox's handler is a function
  await mongoInbox(seven).once(seven.session, 'billing', 'id', 'handler')
}
