import { type Enqueue, event, type Receipt } from '@outbox/core'
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

export class PostOffice {
  readonly #db: NodePgDatabase
  readonly #outbox: Enqueue<PgTransaction>

  constructor(db: NodePgDatabase, outbox: Enqueue<PgTransaction>) {
    this.#db = db
    this.#outbox = outbox
  }

  /** Takes a parcel in. The request may come twice: its id is the event's id, and there is one event per id. */
  async post({ label, grams, requestId }: Posting): Promise<Receipt | undefined> {
    return this.#db.transaction(async (tx) => {
      await tx.insert(parcels).values({ label, grams }).onConflictDoNothing()
      const posted = event('parcel.posted', { id: requestId, aggregateId: label, payload: { grams } })
      const [receipt] = await this.#outbox.enqueue(tx, posted)
      return receipt
    })
  }

  async deliver(label: string, to: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      await tx.update(parcels).set({ deliveredTo: to }).where(eq(parcels.label, label))
      await this.#outbox.enqueue(tx, event('parcel.delivered', { aggregateId: label, payload: { to } }))
    })
  }
}
