import { type DomainEvent, type Enqueue, event } from '@outbox/core'
import type { MysqlTransaction } from '@outbox/drizzle/mysql'
import { and, eq, isNull, sql } from 'drizzle-orm'
import { int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import type { MySql2Database } from 'drizzle-orm/mysql2'

const seats = mysqlTable('seats', {
  name: varchar({ length: 8 }).primaryKey(),
  guest: varchar({ length: 64 }),
  cents: int().notNull(),
})

/** what `seat.booked` carries */
export interface SeatBooked {
  readonly guest: string
  readonly cents: number
}

export class SeatTaken extends Error {}

/** The application: each booking and the event that tells of it stand in one transaction. */
export class Theatre {
  readonly #db: MySql2Database
  readonly #outbox: Enqueue<MysqlTransaction>

  constructor(db: MySql2Database, outbox: Enqueue<MysqlTransaction>) {
    this.#db = db
    this.#outbox = outbox
  }

  async open(names: readonly string[], cents: number): Promise<void> {
    await this.#db.insert(seats).values(names.map((name) => ({ name, cents })))
  }

  /** Books all the seats. @throws {SeatTaken} and nothing has happened: no seat is booked, no event exists */
  async book(names: readonly string[], guest: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const told: DomainEvent[] = []
      for (const name of names) {
        const [{ affectedRows }] = await tx
          .update(seats)
          .set({ guest })
          .where(and(eq(seats.name, name), isNull(seats.guest)))
        const [seat] = await tx.select().from(seats).where(eq(seats.name, name))
        if (affectedRows === 0 || !seat) throw new SeatTaken(name)
        const booked: SeatBooked = { guest, cents: seat.cents }
        told.push(event('seat.booked', { aggregateId: name, payload: booked }))
      }
      // all at once: two transactions that number the same seats in different order would meet in a deadlock
      await this.#outbox.enqueue(tx, told)
    })
  }
}

export async function createSeats(db: MySql2Database): Promise<void> {
  await db.execute(sql`create table seats (name varchar(8) primary key, guest varchar(64), cents int not null)`)
}
