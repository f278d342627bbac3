import type { Inbox } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { MongoSession } from '@outbox/mongo'
import type { Collection, Db, MongoClient } from 'mongodb'
import type { BookLent } from './library.ts'

interface Reminder {
  readonly title: string
  readonly reader: string
}

/** The consumer: it notes whom to remind of which book. The inbox keeps it from noting a loan twice. */
export class Reminders {
  readonly #client: MongoClient
  readonly #inbox: Inbox<MongoSession>
  readonly #reminders: Collection<Reminder>

  constructor({ client, db }: { readonly client: MongoClient; readonly db: Db }, inbox: Inbox<MongoSession>) {
    this.#client = client
    this.#inbox = inbox
    this.#reminders = db.collection<Reminder>('reminders')
  }

  /**
   * Two deliveries at once meet: one is told `busy`, and `withTransaction` runs it again, when it finds the mark.
   *
   * @returns whether it was the first delivery
   */
  async handle({ id, aggregateId, payload }: ReceivedEntry<BookLent>): Promise<boolean> {
    return this.#client.withSession((session) =>
      session.withTransaction(async () =>
        this.#inbox.once(session, 'reminders', id, async () => {
          await this.#reminders.insertOne({ title: aggregateId, reader: payload.reader }, { session })
        }),
      ),
    )
  }

  async count(): Promise<number> {
    return this.#reminders.countDocuments()
  }
}
