import { event, OutboxError, type Receipt } from '@outbox/core'
import { mongoInbox, mongoOutbox, setup, setupInbox } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { MongoError } from 'mongodb'
import { MongoError as MongoError6 } from 'mongodb-6'
import mongoose from 'mongoose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { emptied, newName, type Opened, openDriver6, openDriver7, type TestSession } from './mongo-databases.ts'

function openMongoose(url: string): Opened {
  const name = newName()
  const connection = mongoose.createConnection(url, { dbName: name })
  const client = connection.getClient()
  const db = client.db(name)
  return {
    client,
    db,
    async [Symbol.asyncDispose]() {
      await db.dropDatabase()
      await connection.close()
    },
  }
}

const order = (aggregateId: string, id?: string) =>
  event('order.placed', { aggregateId, payload: {}, ...(id === undefined ? {} : { id }) })

describeWith('mongo', 'withTransaction runs its callback again', () => {
  const drivers: readonly (readonly [string, (url: string) => Opened, abstract new (...args: never) => Error])[] = [
    ['driver 7', openDriver7, MongoError],
    ['driver 6', openDriver6, MongoError6],
    ['mongoose', openMongoose, mongoose.mongo.MongoError],
  ]
  for (const [name, open, DriverError] of drivers) {
    describe(name, () => {
      let opened: Opened
      beforeAll(async () => {
        opened = open(await sharedMongo())
        await setup(opened.db)
        await setupInbox(opened.db)
      })
      afterAll(() => opened[Symbol.asyncDispose]())
      beforeEach(() => emptied(opened))

      /** What an application does: `withTransaction`, and nothing else. */
      async function inTransaction<T>(work: (session: TestSession) => Promise<T>): Promise<readonly T[]> {
        const session = opened.client.startSession()
        const results: T[] = []
        try {
          await session.withTransaction(async () => void results.push(await work(session)))
          return results
        } finally {
          await session.endSession()
        }
      }

      it('when two number one aggregate: both commit, with numbers of their own', async () => {
        const outbox = mongoOutbox(opened)
        await inTransaction((session) => outbox.enqueue(session, order('first')))
        const begun = twoAtOnce()
        const one = async (session: TestSession): Promise<Receipt | undefined> => {
          await opened.db
            .collection('app')
            .find({} as never, { session } as never)
            .toArray()
          await begun()
          const [receipt] = await outbox.enqueue(session, order('a'))
          return receipt
        }
        const runs = await Promise.all([inTransaction(one), inTransaction(one)])
        expect(new Set(runs.map((each) => each.at(-1)?.sequence))).toEqual(new Set([1, 2]))
        expect((await outbox.fetchUnpublished(10)).map(({ sequence }) => sequence)).toEqual([1, 1, 2])
      })

      it('when two write one id, the later one tells of the duplicate', async () => {
        const outbox = mongoOutbox(opened)
        await inTransaction((session) => outbox.enqueue(session, order('first')))
        const id = crypto.randomUUID()
        const begun = twoAtOnce()
        const runs = await Promise.all(
          ['a', 'b'].map((aggregateId) =>
            inTransaction(async (session) => {
              await opened.db
                .collection('app')
                .find({} as never, { session } as never)
                .toArray()
              await begun()
              return outbox.enqueue(session, order(aggregateId, id))
            }),
          ),
        )
        const told = runs.flatMap((each) => each.at(-1) ?? []).map(({ duplicate }) => duplicate)
        expect(new Set(told)).toEqual(new Set([false, true]))
        expect(await outbox.fetchUnpublished(10)).toHaveLength(2)
      })

      it('when two deliveries of one message meet: one handles it, the other returns false', async () => {
        const inbox = mongoInbox(opened)
        const begun = twoAtOnce()
        let commits = 0
        const deliver = async (session: TestSession): Promise<boolean> => {
          await opened.db
            .collection('app')
            .find({} as never, { session } as never)
            .toArray()
          await begun()
          return inbox.once(session, 'billing', 'm-1', () => undefined)
        }
        const runs = await Promise.all([inTransaction(deliver), inTransaction(deliver)])
        for (const each of runs) if (each.at(-1)) commits += 1
        expect(commits).toBe(1)
      })

      it('because busy is an error of the driver too, with its label', async () => {
        const outbox = mongoOutbox(opened)
        await inTransaction((session) => outbox.enqueue(session, order('a')))
        const [one, two] = [opened.client.startSession(), opened.client.startSession()]
        one.startTransaction()
        two.startTransaction()
        await outbox.enqueue(one, order('a'))
        const [outcome] = await Promise.allSettled([outbox.enqueue(two, order('a'))])
        const error: unknown = outcome.status === 'rejected' ? outcome.reason : undefined
        expect(OutboxError.is(error, 'busy')).toBe(true)
        expect(error).toBeInstanceOf(DriverError)
        expect(error).toMatchObject({ name: 'OutboxError', code: 'busy', isRetryable: true })
        expect(String(error)).toMatch(/run the whole transaction again/)
        await one.abortTransaction()
        await two.abortTransaction()
        await one.endSession()
        await two.endSession()
      })

      it('and not where the counters are behind the entries, as after a restore of one without the other', async () => {
        const outbox = mongoOutbox(opened)
        await inTransaction((session) => outbox.enqueue(session, [order('a'), order('a')]))
        await opened.db.collection('outbox_sequences').updateMany({ last: 2 } as never, { $set: { last: 1 } } as never)
        let runs = 0
        const again = inTransaction((session) => {
          runs += 1
          return outbox.enqueue(session, order('a'))
        })
        await expect(again).rejects.toMatchObject({
          code: 'sequence-conflict',
          details: { aggregateType: 'order', aggregateId: 'a', sequence: 2 },
        })
        expect(runs).toBe(1)
      })

      it('and not for what running again does not mend', async () => {
        const outbox = mongoOutbox(opened)
        const given = { ...order('a'), sequence: 7 }
        await inTransaction((session) => outbox.enqueue(session, given))
        let runs = 0
        const again = inTransaction((session) => {
          runs += 1
          return outbox.enqueue(session, given)
        })
        await expect(again).rejects.toMatchObject({ code: 'sequence-conflict' })
        expect(runs).toBe(1)
      })

      it('each run mints ids of its own, and those of the run that commits are there', async () => {
        const outbox = mongoOutbox(opened)
        await increment()
        let runs = 0
        const receipts = await inTransaction(async (session) => {
          const written = await outbox.enqueue(session, [order('a'), order('b')])
          runs += 1
          if (runs < 3) {
            const conflict = await conflictOf(session)
            throw conflict
          }
          return written
        })
        expect(runs).toBe(3)
        const ids = (await outbox.fetchUnpublished(10)).map(({ id }) => id).toSorted()
        expect(
          receipts
            .flat()
            .map(({ id }) => id)
            .toSorted(),
        ).toEqual(ids)
        expect(ids).toHaveLength(2)
      })

      /** A write conflict of the application's own, as the driver throws it. */
      async function conflictOf(session: TestSession): Promise<unknown> {
        await increment()
        const [outcome] = await Promise.allSettled([increment({ session })])
        return outcome.status === 'rejected' ? outcome.reason : undefined
      }

      async function increment(options: object = {}): Promise<void> {
        const update = { $inc: { n: 1 } }
        const collection = opened.db.collection('app')
        await collection.findOneAndUpdate({ _id: 'x' } as never, update as never, { upsert: true, ...options } as never)
      }
    })
  }
})

/** Holds the first two callers until both are there; lets everybody else through. */
function twoAtOnce(): () => Promise<void> {
  let arrived = 0
  let open: () => void = () => undefined
  const both = new Promise<void>((resolve) => {
    open = resolve
  })
  return async () => {
    arrived += 1
    if (arrived === 2) open()
    await both
  }
}
