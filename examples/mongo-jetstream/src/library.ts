import { type Enqueue, event } from '@outbox/core'
import type { MongoSession } from '@outbox/mongo'
import type { Collection, Db, MongoClient } from 'mongodb'

interface Book {
  readonly _id: string
  readonly copies: number
}

interface Loan {
  readonly title: string
  readonly reader: string
}

/** what `book.lent` carries */
export type BookLent = Omit<Loan, 'title'>

export class NoCopyLeft extends Error {}

/** The application: each loan and the event that tells of it stand in one transaction. */
export class Library {
  readonly #client: MongoClient
  readonly #outbox: Enqueue<MongoSession>
  readonly #books: Collection<Book>
  readonly #loans: Collection<Loan>

  constructor({ client, db }: { readonly client: MongoClient; readonly db: Db }, outbox: Enqueue<MongoSession>) {
    this.#client = client
    this.#outbox = outbox
    this.#books = db.collection<Book>('books')
    this.#loans = db.collection<Loan>('loans')
  }

  async buy(title: string, copies: number): Promise<void> {
    await this.#books.insertOne({ _id: title, copies })
  }

  /**
   * Lends a copy. @throws {NoCopyLeft} and nothing has happened: no loan, no event
   *
   * `withTransaction` runs its callback again when it met another transaction. Whatever it does besides writing must
   * bear that.
   */
  async lend(title: string, reader: string): Promise<void> {
    await this.#client.withSession((session) =>
      session.withTransaction(async () => {
        await this.#loans.insertOne({ title, reader }, { session })
        await this.#outbox.enqueue(
          session,
          event('book.lent', { aggregateId: title, payload: { reader } satisfies BookLent }),
        )
        const taken = { $inc: { copies: -1 } }
        const { modifiedCount } = await this.#books.updateOne({ _id: title, copies: { $gt: 0 } }, taken, { session })
        if (modifiedCount === 0) throw new NoCopyLeft(title)
      }),
    )
  }
}

/** A collection that is first used inside a transaction may be made outside of it: make them beforehand. */
export async function createCollections(db: Db): Promise<void> {
  for (const name of ['books', 'loans', 'reminders']) await db.createCollection(name)
}
