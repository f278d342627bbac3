import type { Inbox } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { MysqlTransaction } from '@outbox/drizzle/mysql'
import { sql } from 'drizzle-orm'
import { int, mysqlTable } from 'drizzle-orm/mysql-core'
import type { MySql2Database } from 'drizzle-orm/mysql2'
import type { SeatBooked } from './theatre.ts'

const takings = mysqlTable('takings', { cents: int().notNull() })

/** The consumer: it adds up what was taken. The inbox keeps it from adding a booking twice. */
export class BoxOffice {
  readonly #db: MySql2Database
  readonly #inbox: Inbox<MysqlTransaction>

  constructor(db: MySql2Database, inbox: Inbox<MysqlTransaction>) {
    this.#db = db
    this.#inbox = inbox
  }

  /** @returns whether it was the first delivery */
  async handle({ id, payload }: ReceivedEntry<SeatBooked>): Promise<boolean> {
    return this.#db.transaction(async (tx) =>
      this.#inbox.once(tx, 'box-office', id, async () => {
        await tx.update(takings).set({ cents: sql`${takings.cents} + ${payload.cents}` })
      }),
    )
  }

  async total(): Promise<number> {
    const [row] = await this.#db.select().from(takings)
    return row?.cents ?? 0
  }
}

export async function createTakings(db: MySql2Database): Promise<void> {
  await db.execute(sql`create table takings (cents int not null)`)
  await db.insert(takings).values({ cents: 0 })
}
