import { event } from '@outbox/core'
import { recordingOutbox } from '@outbox/memory'
import { describe, expect, it } from 'vitest'
import { Orders, type OrderTables } from '../src/orders.ts'

/** Tables without a database. The transaction's handle is not looked at, so any value will do. */
function tablesOwing(owedCents: number): OrderTables<'tx'> {
  return {
    transaction: (work) => work('tx'),
    insertOrder: async () => {},
    addDebt: async (_tx, _customer, cents) => owedCents + cents,
  }
}

describe('orders, with a recording outbox', () => {
  it('tells of an order that is placed', async () => {
    const outbox = recordingOutbox()
    await new Orders(tablesOwing(0), outbox).place({ id: 'order-1', customer: 'Ada', cents: 4200 })
    expect(outbox.events).toEqual([
      event('order.placed', { aggregateId: 'order-1', payload: { customer: 'Ada', cents: 4200 } }),
    ])
  })

  it('tells of a customer who owes much', async () => {
    const outbox = recordingOutbox()
    await new Orders(tablesOwing(3000), outbox).place({ id: 'order-2', customer: 'Ada', cents: 4200 })
    expect(outbox.events.map(({ type, aggregateId }) => `${type} ${aggregateId}`)).toEqual([
      'order.placed order-2',
      'customer.warned Ada',
    ])
  })

  it('numbers the events of one order, as a store does', async () => {
    const outbox = recordingOutbox()
    const orders = new Orders(tablesOwing(0), outbox)
    await orders.place({ id: 'order-3', customer: 'Ada', cents: 100 })
    await orders.place({ id: 'order-3', customer: 'Ada', cents: 200 })
    expect(outbox.entries.map(({ sequence }) => sequence)).toEqual([1, 2])
  })

  it('refuses what a store would refuse', async () => {
    const orders = new Orders(tablesOwing(0), recordingOutbox())
    const placing = orders.place({ id: '', customer: 'Ada', cents: 100 })
    await expect(placing).rejects.toMatchObject({ code: 'invalid-event', details: { path: 'aggregateId' } })
  })
})
