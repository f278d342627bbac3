import { describeInbox, describeOutbox } from '@outbox/conformance'
import { type DueEntry, event } from '@outbox/core'
import { mongoOutbox, setup, setupInbox } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { emptied, openDriver6, transaction } from './mongo-databases.ts'
import { type Clients, inboxHarness, outboxHarness } from './mongo-harness.ts'

/**
 * What depends on the driver is the caller's half: sessions, transactions, and the errors that `withTransaction` knows.
 * The relay's half sends the same commands through either driver. The suite of its promises runs with driver 7; here it
 * is enough that each of its commands goes through, and that its answers are understood.
 */
describeWith('mongo', 'MongoDB, driver 6', () => {
  let clients: Clients
  beforeAll(async () => {
    const url = await sharedMongo()
    const own = openDriver6(url)
    await setup(own.db)
    await setupInbox(own.db)
    clients = { own, other: openDriver6(url, own.name) }
  })
  afterAll(async () => {
    await clients.other[Symbol.asyncDispose]()
    await clients.own[Symbol.asyncDispose]()
  })

  describeOutbox(
    'outbox',
    outboxHarness(() => clients),
  )
  describeInbox(
    'inbox',
    inboxHarness(() => clients),
  )

  it('a relay fetches, settles, and is taken over from, in order', async () => {
    const { own } = clients
    await emptied(own)
    const store = mongoOutbox(own)
    await store.check()
    await transaction(own.client, (session) =>
      store.enqueue(
        session,
        Array.from({ length: 4 }, () => event('order.placed', { aggregateId: 'a', payload: {} })),
      ),
    )
    const acquire = async (holder: string) => {
      await store.join({ holder })
      const { leases: claims, relays, duePartitions } = await store.poll({ holder })
      expect(duePartitions).toHaveLength(1)
      return store.acquire({ holder, claims, evict: relays.filter((relay) => relay.holder !== holder) })
    }
    const limits = { limit: 10, limitPerAggregate: 3, maxBytes: 1000 }
    const reason = 'no such subject'
    const sequencesOf = (batch: readonly DueEntry[]) => batch.map(({ sequence }) => sequence)

    const leases = await acquire('first')
    const batch = await store.fetch({ leases, ...limits })
    expect(sequencesOf(batch)).toEqual([1, 2, 3])
    const [one, two, three] = batch
    if (!one || !two || !three) throw new Error('three entries were due')
    const settlements = [
      { entry: one, outcome: 'published' },
      { entry: two, outcome: 'dead', reason, blocksAggregate: true },
    ] as const
    expect(await store.settle({ leases, settlements })).toEqual({ lost: [] })
    expect(await store.fetch({ leases, ...limits })).toEqual([])
    expect(await store.deadLetters.requeue([two.id])).toBe(1)
    expect(sequencesOf(await store.fetch({ leases, ...limits }))).toEqual([2, 3, 4])

    const taken = await acquire('second')
    expect(taken).toHaveLength(leases.length)
    const late = [{ entry: three, outcome: 'published' }] as const
    expect((await store.settle({ leases, settlements: late })).lost).toHaveLength(leases.length)
    const [suspect] = await store.fetch({ leases: taken, ...limits })
    expect(suspect).toMatchObject({ sequence: 2, crashes: 1, deduplicationId: `${two.id}#1` })
    await store.release({ holder: 'second', leases: taken, leave: true })
    expect(await store.stats()).toMatchObject({ pending: 3, dead: 0 })
  })
})
