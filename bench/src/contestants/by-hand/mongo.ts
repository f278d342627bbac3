import { type Collection, MongoClient } from 'mongodb'
import type { Contestant } from '../../contestant.ts'
import { aggregateOf, batches, payloadOf } from '../../rows.ts'

const lanes = 4
const batchSize = 500
const partitions = 64

interface Row {
  readonly _id: number
  readonly partition: number
  readonly aggregateId: string
  readonly eventType: string
  readonly sequence: number
  readonly payload: string
  readonly occurredAt: Date
  readonly published: boolean
  /** the epoch that took the entry over */
  readonly fence: number
}

export const contestant: Contestant = {
  title: 'hand-written loop',
  role: 'ceiling',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true, but: 'no retries, no dead letters' },
  tuning: `${lanes} lanes over ${partitions} hash partitions, batches of ${batchSize}, majority`,
  async prepare(setting) {
    await using client = new MongoClient(setting.url)
    const outbox = client.db().collection<Row>('outbox')
    await outbox.createIndex({ partition: 1, _id: 1 }, { partialFilterExpression: { published: false } })
    for (const batch of batches(setting.rows, 1000)) {
      await outbox.insertMany(
        batch.map((n) => ({
          _id: n,
          partition: (n % setting.aggregates) % partitions,
          aggregateId: aggregateOf(n, setting),
          eventType: 'order.placed',
          sequence: Math.floor(n / setting.aggregates) + 1,
          payload: JSON.stringify(payloadOf(n, setting)),
          occurredAt: new Date(),
          published: false,
          fence: 1,
        })),
      )
    }
  },
  async open({ url }) {
    const client = new MongoClient(url, { writeConcern: { w: 'majority' }, readConcern: { level: 'majority' } })
    const outbox = client.db().collection<Row>('outbox')
    await outbox.findOne()
    return {
      async run() {
        await Promise.all(Array.from({ length: lanes }, (_, lane) => drain(outbox, lane)))
        return undefined
      },
      left: () => outbox.countDocuments({ published: false }),
      [Symbol.asyncDispose]: () => client.close(),
    }
  },
}

async function drain(outbox: Collection<Row>, lane: number): Promise<void> {
  const mine = Array.from({ length: partitions / lanes }, (_, index) => index * lanes + lane)
  for (;;) {
    const rows = await outbox
      .find({ partition: { $in: mine }, published: false })
      .sort({ _id: 1 })
      .limit(batchSize)
      .batchSize(batchSize)
      .toArray()
    if (rows.length === 0) return
    // the publisher that does nothing
    await outbox.updateMany(
      { _id: { $in: rows.map(({ _id }) => _id) }, published: false, fence: { $lte: 1 } },
      { $set: { published: true, publishedAt: new Date() } },
    )
  }
}
