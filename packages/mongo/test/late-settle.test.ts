import { event, type Settlement } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { expect, it } from 'vitest'
import { gatedDatabase, heldWrite } from './gated-database.ts'
import { openDriver7, transaction } from './mongo-databases.ts'
import { takeOver } from './one-lease.ts'

const limits = { limitPerAggregate: 10, maxBytes: 1e6 }

describeWith('mongo', 'a settle that was given up on, and lands late', () => {
  it('counts, and leaves alone what its relay has been lent since: a crash then counts too', async () => {
    await using opened = openDriver7(await sharedMongo())
    await setup(opened.db)
    const store = mongoOutbox(opened)
    await transaction(opened.client, (session) =>
      store.enqueue(
        session,
        [1, 2].map((n) => event('order.placed', { aggregateId: 'a', payload: { n } })),
      ),
    )
    // the first write notes what is lent, the second is the settle's
    const { gate, onAnswer, isHeld, isAnswered, goOn } = heldWrite(2)
    const slow = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, gate, onAnswer) })
    const relay = await takeOver(store)
    const [first] = await slow.fetch({ leases: relay.leases, ...limits, limit: 1 })
    if (!first) throw new Error('an entry was due')
    const abort = new AbortController()
    const settlements: Settlement[] = [{ entry: first, outcome: 'published' }]
    const givenUp = expect(slow.settle({ leases: relay.leases, settlements, signal: abort.signal })).rejects.toThrow(
      'given up',
    )
    await isHeld
    abort.abort(new Error('given up'))
    await givenUp
    expect(await slow.fetch({ leases: relay.leases, ...limits, limit: 2 })).toHaveLength(2)
    goOn()
    await isAnswered

    const heir = await takeOver(store, relay)
    const left = await store.fetch({ leases: heir.leases, ...limits, limit: 2 })
    expect(left.map(({ sequence, crashes }) => ({ sequence, crashes }))).toEqual([{ sequence: 2, crashes: 1 }])
  })
})
