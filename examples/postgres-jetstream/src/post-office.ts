import { type Enqueue, event } from '@outbox/core'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { eq } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { parcels } from './tables.ts'

export interface Posting {
  /** what the sender's label says, whatever characters it has */
  readonly label: string
  readonly grams: number
  /** UUID; the sender repeats it when it repeats the request */
  readonly requestId: string
}
/** what `parcel.posted` carries */
export type ParcelPosted = Pick<Posting, 'grams'>

export class LabelTaken extends Error {}
export class UnknownParcel extends Error {}

/** The application: each change and the event that tells of it stand in one transaction. */
export class PostOffice {
  readonly #db: NodePgDatabase
  readonly #outbox: Enqueue<PgTransaction>

  constructor(db: NodePgDatabase, outbox: Enqueue<PgTransaction>) {
    this.#db = db
    this.#outbox = outbox
  }

  /**
   * Takes a parcel in, once for each request, however often that comes. The parcel keeps the request's id, so a repeat
   * is known for as long as the parcel is; an outbox knows it only until it is purged.
   *
   * @returns whether it was the first time
   * @throws {LabelTaken} another request has used the label
   */
  async post({ label, grams, requestId }: Posting): Promise<boolean> {
    return this.#db.transaction(async (tx) => {
      const taken = await tx.insert(parcels).values({ label, grams, requestId }).onConflictDoNothing().returning()
      if (taken.length === 0) {
        const [parcel] = await tx.select().from(parcels).where(eq(parcels.requestId, requestId))
        if (!parcel) throw new LabelTaken(label)
        return false
      }
      const posted = event('parcel.posted', { id: requestId, aggregateId: label, payload: { grams } })
      await this.#outbox.enqueue(tx, posted)
      return true
    })
  }

  /** @throws {UnknownParcel} and nothing has happened: no event tells of a delivery that was none */
  async deliver(label: string, to: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const delivered = await tx.update(parcels).set({ deliveredTo: to }).where(eq(parcels.label, label)).returning()
      if (delivered.length === 0) throw new UnknownParcel(label)
      await this.#outbox.enqueue(tx, event('parcel.delivered', { aggregateId: label, payload: { to } }))
    })
  }
}
