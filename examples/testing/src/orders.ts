import { type Enqueue, event } from '@outbox/core'

export interface Order {
  readonly id: string
  readonly customer: string
  readonly cents: number
}

/** What the service needs of a database; `Tx` is its transaction handle, whatever that is. */
export interface OrderTables<Tx> {
  transaction(work: (tx: Tx) => Promise<void>): Promise<void>
  insertOrder(tx: Tx, order: Order): Promise<void>
  /** @returns what the customer owes now */
  addDebt(tx: Tx, customer: string, cents: number): Promise<number>
}

/** from here on a customer is warned */
const warnFromCents = 5_000

/** The code under test: it places orders, and takes the outbox of any database. */
export class Orders<Tx> {
  readonly #tables: OrderTables<Tx>
  readonly #outbox: Enqueue<Tx>

  constructor(tables: OrderTables<Tx>, outbox: Enqueue<Tx>) {
    this.#tables = tables
    this.#outbox = outbox
  }

  /** Places an order and tells of it. If anything fails nothing has happened: no order, no debt, no event. */
  async place(order: Order): Promise<void> {
    const { id, customer, cents } = order
    await this.#tables.transaction(async (tx) => {
      const owedCents = await this.#tables.addDebt(tx, customer, cents)
      const placed = event('order.placed', { aggregateId: id, payload: { customer, cents } })
      const warned = event('customer.warned', { aggregateId: customer, payload: { owedCents } })
      // all at once: two calls in one transaction could deadlock with another transaction's
      await this.#outbox.enqueue(tx, owedCents < warnFromCents ? [placed] : [placed, warned])
      await this.#tables.insertOrder(tx, order)
    })
  }
}
