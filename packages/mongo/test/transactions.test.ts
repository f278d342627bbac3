import { event, type OutboxStore } from '@outbox/core'
import { type MongoSession, mongoInbox, mongoOutbox, setup, setupInbox } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { MongoClient } from 'mongodb'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { gatedDatabase, holdingGate } from './gated-database.ts'
import { emptied, type Opened, openDriver7, type TestSession, transaction } from './mongo-databases.ts'

const order = (aggregateId: string) => event('order.placed', { aggregateId, payload: {} })

describeWith('mongo', 'a session', () => {
  let opened: Opened
  let outbox: OutboxStore<MongoSession>
  beforeAll(async () => {
    opened = openDriver7(await sharedMongo())
    await setup(opened.db)
    await setupInbox(opened.db)
    outbox = mongoOutbox(opened)
  })
  afterAll(() => opened[Symbol.asyncDispose]())
  beforeEach(() => emptied(opened))

  it('without a transaction is refused, and told what to do', async () => {
    const session = opened.client.startSession()
    await expect(outbox.enqueue(session, order('a'))).rejects.toMatchObject({
      code: 'not-a-transaction',
      details: { reason: 'no-transaction' },
      message: expect.stringContaining('session.withTransaction'),
    })
    session.startTransaction()
    await outbox.enqueue(session, order('a'))
    await session.abortTransaction()
    await expect(outbox.enqueue(session, order('a'))).rejects.toMatchObject({ code: 'not-a-transaction' })
    await session.endSession()
    await expect(outbox.enqueue(session, order('a'))).rejects.toMatchObject({ details: { reason: 'finished' } })
    expect(await outbox.fetchUnpublished(10)).toEqual([])
  })

  it('of another client is refused as the wrong one', async () => {
    await using other = openDriver7(await sharedMongo())
    const attempt = transaction(other.client, (session) => outbox.enqueue(session, order('a')))
    await expect(attempt).rejects.toMatchObject({ code: 'not-a-transaction', details: { reason: 'wrong-handle' } })
  })

  it.each(['abort', 'commit'] as const)(
    'whose transaction ends by %s before any command of an enqueue that nobody awaits leaves nothing outside of it',
    async (ending) => {
      await transaction(opened.client, (session) => outbox.enqueue(session, order('first')))
      for (let heldFrom = 1; ; heldFrom++) {
        const { gate, isHeld, goOn } = holdingGate(heldFrom)
        const held = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, gate) })
        const session = opened.client.startSession()
        session.startTransaction()
        // so that there is something to commit
        await opened.db
          .collection('app')
          .find({} as never, { session } as never)
          .toArray()
        const forgotten = Promise.allSettled([held.enqueue(session, order(`late-${heldFrom}`))])
        const isOver = (await Promise.race([isHeld.then(() => 'held'), forgotten.then(() => 'ended')])) === 'ended'
        await (ending === 'abort' ? session.abortTransaction() : session.commitTransaction())
        goOn()
        const [outcome] = await forgotten
        await session.endSession()
        if (isOver) {
          expect(heldFrom).toBeGreaterThan(3)
          return
        }
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'not-a-transaction' } })
        // a half that was in the transaction commits with it, as the caller let it; no entry is ever written without
        expect(await outbox.fetchUnpublished(10), `held before command ${heldFrom}`).toHaveLength(1)
      }
    },
  )

  it('that goes on to its next transaction takes nothing of a forgotten call along', async () => {
    const { gate, isHeld, goOn } = holdingGate(2)
    const held = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, gate) })
    const session = opened.client.startSession()
    session.startTransaction()
    const forgotten = Promise.allSettled([held.enqueue(session, order('forgotten'))])
    await isHeld
    await session.abortTransaction()
    session.startTransaction()
    await outbox.enqueue(session, order('next'))
    goOn()
    expect(await forgotten).toMatchObject([{ status: 'rejected' }])
    await session.commitTransaction()
    await session.endSession()
    expect(await outbox.fetchUnpublished(10)).toMatchObject([{ aggregateId: 'next' }])
  })

  it.each(['abort', 'commit'] as const)(
    'whose transaction ended by %s under a handler is not taken for the same, in its next transaction or out of it',
    async (ending) => {
      const inbox = mongoInbox(opened)
      for (const next of [() => undefined, (session: TestSession) => session.startTransaction()]) {
        const session = opened.client.startSession()
        session.startTransaction()
        const once = inbox.once(session, 'billing', `${ending} ${next}`, async () => {
          await (ending === 'abort' ? session.abortTransaction() : session.commitTransaction())
          next(session)
        })
        await expect(once).rejects.toMatchObject({ code: 'not-a-transaction', details: { reason: 'finished' } })
        await expect(once).rejects.toThrow(/^The transaction ended before the handler did/)
        await session.endSession()
      }
    },
  )

  it('whose handler caught the conflict that ended it on the server is run again', async () => {
    const inbox = mongoInbox(opened)
    const stock = opened.db.collection('stock')
    const take = (session: TestSession) =>
      stock.findOneAndUpdate({ _id: 'a' } as never, { $inc: { left: -1 } } as never, { session, upsert: true } as never)
    await transaction(opened.client, take)
    const other = opened.client.startSession()
    other.startTransaction()
    await take(other)
    const session = opened.client.startSession()
    const said: unknown[] = []
    const once = () =>
      inbox.once(session, 'billing', 'm-1', async () => {
        said.push(
          await take(session).then(
            () => 'taken',
            () => 'caught',
          ),
        )
      })
    session.startTransaction()
    const first = once()
    await expect(first).rejects.toMatchObject({ code: 'busy' })
    await expect(first).rejects.toSatisfy((error) => error.hasErrorLabel('TransientTransactionError'))
    await session.abortTransaction()
    await other.commitTransaction()
    expect(await session.withTransaction(once)).toBe(true)
    expect(said).toEqual(['caught', 'taken'])
    await Promise.all([session.endSession(), other.endSession()])
  })

  it('of a client with options of its own reads and writes the same', async () => {
    const url = `${await sharedMongo()}&readPreference=secondaryPreferred&w=1&retryWrites=false`
    for (const options of [
      { promoteValues: false },
      { promoteLongs: false, promoteBuffers: true },
      { useBigInt64: true, ignoreUndefined: true },
    ]) {
      await emptied(opened)
      const client = new MongoClient(url, options)
      const own = { client, db: client.db(opened.db.databaseName) }
      const odd = mongoOutbox(own)
      const inbox = mongoInbox(own)
      await odd.check()
      const [receipt] = await transaction(client, (session) =>
        odd.enqueue(session, { ...order('a'), sequence: 2 ** 40 }),
      )
      expect(await odd.fetchUnpublished(10)).toMatchObject([{ id: receipt?.id, sequence: 2 ** 40, payload: '{}' }])
      const { source } = await odd.join({ holder: 'odd' })
      const { leases } = await odd.poll({ holder: 'odd' })
      const granted = await odd.acquire({ holder: 'odd', claims: leases, evict: [] })
      const lent = await odd.fetch({ leases: granted, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
      expect(lent).toMatchObject([{ id: receipt?.id, attempt: 1, source }])
      const settlements = lent.map((entry) => ({ entry, outcome: 'published' as const }))
      expect(await odd.settle({ leases: granted, settlements })).toEqual({ lost: [] })
      expect(await odd.stats()).toMatchObject({ pending: 0 })
      expect(await transaction(client, (session) => inbox.once(session, 'billing', 'm-1', () => undefined))).toBe(true)
      expect(await transaction(client, (session) => inbox.once(session, 'billing', 'm-1', () => undefined))).toBe(false)
      await client.close()
    }
  })
})
