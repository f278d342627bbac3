import type { DueEntry, LeasedSource, OutboxStore, Settlement } from '@outbox/core'
import { event, publisher } from '@outbox/core'
import { type MongoSession, mongoOutbox, setup } from '@outbox/mongo'
import { createRelay } from '@outbox/relay'
import { describeWith, sharedMongo, waitFor } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { gatedDatabase, heldWrite, Killed, killingGate } from './gated-database.ts'
import { emptied, type Opened, openDriver7, transaction } from './mongo-databases.ts'
import { type Relay, takeOver } from './one-lease.ts'

const limits = { limit: 10, limitPerAggregate: 10, maxBytes: 1e6 }
const id = '019ac1f0-0000-7000-8000-000000000001'
const outcomes = ['published', 'dead'] as const

describeWith('mongo', 'an id that is purged and enqueued again', () => {
  let opened: Opened
  let store: OutboxStore<MongoSession>

  beforeAll(async () => {
    opened = openDriver7(await sharedMongo())
    await setup(opened.db)
    store = mongoOutbox(opened)
  })
  afterAll(() => opened[Symbol.asyncDispose]())
  beforeEach(() => emptied(opened))

  const produce = () =>
    transaction(opened.client, (session) =>
      store.enqueue(session, event('order.placed', { aggregateId: 'a', id, payload: {} })),
    )
  const said = (entry: DueEntry, outcome: (typeof outcomes)[number]): Settlement =>
    outcome === 'dead'
      ? { entry, outcome, reason: 'no such subject', blocksAggregate: true }
      : { entry, outcome: 'published' }
  const lend = async (from: LeasedSource, relay: Relay): Promise<DueEntry> => {
    const [entry] = await from.fetch({ leases: relay.leases, ...limits })
    if (!entry) throw new Error('an entry was due')
    return entry
  }
  /** What ends an entry for good, and lets its id come again. */
  const again = async (): Promise<void> => {
    await store.deadLetters.discard([id])
    expect(await store.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
    await produce()
  }

  it.each(outcomes)('is another entry for the heir of a relay that had it %s', async (outcome) => {
    await produce()
    const relay = await takeOver(store)
    await store.settle({ leases: relay.leases, settlements: [said(await lend(store, relay), outcome)] })
    await again()
    // another process, which does not know what was applied
    const heir = mongoOutbox(opened)
    expect(await lend(heir, await takeOver(heir, relay))).toMatchObject({ id, attempt: 1, crashes: 0 })
  })

  it.each(outcomes)('is another entry for a relay that stood still after it had it %s', async (outcome) => {
    await produce()
    const { gate, onAnswer, isHeld, isAnswered, goOn } = heldWrite(3)
    // the first write notes what is lent, the second is the log, and the third applies it
    const slow = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, gate, onAnswer) })
    const relay = await takeOver(store)
    const entry = await lend(slow, relay)
    const late = slow.settle({ leases: relay.leases, settlements: [said(entry, outcome)] })
    await isHeld
    const heir = await takeOver(store, relay)
    await again()
    goOn()
    await late
    await isAnswered
    expect(await lend(store, heir)).toMatchObject({ id, attempt: 1, crashes: 0 })
  })

  it('is told apart in what a relay settles: it gives back the very entries that it was lent', async () => {
    await produce()
    const broker = publisher({ name: 'broker', send: () => undefined })
    await using relay = createRelay({ store, publisher: broker, pollIntervalMs: 50 })
    await relay.start()
    await waitFor(async () => (await store.stats()).pending === 0, { what: 'it to be published' })
    const settled = { 'log.newest': { $gt: 0 } }
    const logs: unknown = await opened.db
      .collection('outbox_leases')
      .find(settled as never)
      .toArray()
    expect(logs).toHaveLength(1)
  })

  it('does not keep a log from being applied that does not tell how new its entries were', async () => {
    await produce()
    const relay = await takeOver(store)
    const entry = await lend(store, relay)
    const dying = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, killingGate(1)) })
    const dies = dying.settle({ leases: relay.leases, settlements: [said({ ...entry }, 'published')] })
    await expect(dies).rejects.toBeInstanceOf(Killed)
    expect((await store.stats()).pending).toBe(1)
    await takeOver(mongoOutbox(opened), relay)
    expect((await store.stats()).pending).toBe(0)
  })
})
