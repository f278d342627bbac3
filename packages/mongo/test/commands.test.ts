import { event, limits, partitionCount } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { BSON, MongoClient } from 'mongodb'
import { expect, it } from 'vitest'
import { collectionsOf } from '../src/database.ts'
import { namesIn } from '../src/names.ts'
import { newName, transaction } from './mongo-databases.ts'

const writes = new Set(['update', 'delete', 'findAndModify', 'insert'])
const reads = new Set(['find', 'aggregate'])

/** Of the Stable API, version 1: https://www.mongodb.com/docs/manual/reference/stable-api/ */
const stable = new Set([
  ...['find', 'getMore', 'aggregate', 'insert', 'update', 'delete', 'findAndModify', 'hello', 'ping'],
  ...['create', 'createIndexes', 'listIndexes', 'commitTransaction', 'abortTransaction', 'endSessions', 'killCursors'],
])

interface Command {
  readonly name: string
  readonly body: Readonly<Record<string, unknown>>
}

describeWith('mongo', 'what is sent', () => {
  it('the relay opens no transaction, reads what a majority has, and writes to a majority', async () => {
    const client = new MongoClient(`${await sharedMongo()}&w=1`, { monitorCommands: true })
    const db = client.db(newName())
    const sent: Command[] = []
    client.on('commandStarted', ({ commandName, command }) => void sent.push({ name: commandName, body: command }))
    const outbox = mongoOutbox({ client, db })
    await setup(db)
    await transaction(client, (session) =>
      outbox.enqueue(
        session,
        ['a', 'b', 'c'].map((aggregateId) => event('order.placed', { aggregateId, payload: {} })),
      ),
    )
    sent.length = 0
    const holder = 'relay'
    await outbox.join({ holder })
    const { leases: claims } = await outbox.poll({ holder })
    const beforeAcquire = sent.length
    const leases = await outbox.acquire({ holder, claims, evict: [] })
    // what it finds left undone it completes, and the fetch after it must see that, too
    const inAcquire = sent.slice(beforeAcquire)
    expect(new Set(inAcquire.map(({ body }) => JSON.stringify(body['lsid']))).size).toBe(1)
    const before = sent.length
    const [a, b, c] = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
    if (!a || !b || !c) throw new Error('three entries were due')
    // a new primary may know less: what is read after the leases asks for what they showed
    const [first, ...others] = sent.slice(before).filter(({ name }) => reads.has(name))
    expect(first?.body['readConcern']).not.toHaveProperty('afterClusterTime')
    expect(others.length).toBeGreaterThan(2)
    for (const { name, body } of others) expect(body['readConcern'], name).toHaveProperty('afterClusterTime')
    const reason = 'no such subject'
    await outbox.settle({
      leases,
      settlements: [
        { entry: a, outcome: 'published' },
        { entry: b, outcome: 'retry', retryInMs: 0, isRefusal: true, reason },
        { entry: c, outcome: 'dead', reason, blocksAggregate: true },
      ],
    })
    // nor may one that was elected since the settle lend what was settled
    const afterSettle = sent.length
    await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
    const again = sent.slice(afterSettle).find(({ name }) => reads.has(name))
    expect(again?.body['readConcern']).toHaveProperty('afterClusterTime')
    await outbox.deadLetters.requeue([c.id])
    await outbox.purge({ olderThanMs: 0, limit: 10 })
    await outbox.release({ holder, leases, leave: true })

    const written = sent.filter(({ name }) => writes.has(name))
    expect(written.length).toBeGreaterThan(8)
    for (const { name, body } of written) {
      expect(body['writeConcern'], name).toMatchObject({ w: 'majority' })
    }
    for (const { name, body } of sent) {
      expect(body, name).not.toHaveProperty('autocommit')
      if (reads.has(name)) expect(body['readConcern'], name).toHaveProperty('level')
    }
    const ofPrefixes = sent.filter(({ body }) => JSON.stringify(body['readConcern']) === '{"level":"snapshot"}')
    expect(ofPrefixes.length).toBeGreaterThan(0)
    await db.dropDatabase()
    await client.close()
  })

  it('every command is one of the Stable API, which a strict client is held to, and polls ask for holds where they matter', async () => {
    const strict = { version: '1', strict: true, deprecationErrors: true } as const
    const client = new MongoClient(await sharedMongo(), { serverApi: strict, monitorCommands: true })
    const db = client.db(newName())
    const sent: Command[] = []
    client.on('commandStarted', ({ commandName, command }) => void sent.push({ name: commandName, body: command }))
    const outbox = mongoOutbox({ client, db })
    await setup(db)
    await outbox.check()
    const holder = 'relay'
    await outbox.join({ holder })
    const { leases: claims } = await outbox.poll({ holder })
    const leases = await outbox.acquire({ holder, claims, evict: [] })
    const placed = event('order.placed', { aggregateId: 'a', payload: {} })
    await transaction(client, (session) => outbox.enqueue(session, placed))
    const [entry] = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
    if (!entry) throw new Error('an entry was due')
    const dead = { entry, outcome: 'dead', reason: 'no such subject', blocksAggregate: true } as const
    await outbox.settle({ leases, settlements: [dead] })

    const polledFor = async (): Promise<readonly number[]> => {
      sent.length = 0
      return (await outbox.poll({ holder })).duePartitions
    }
    const asksForHolds = (): boolean => sent.some(({ body }) => JSON.stringify(body).includes('holdsUntil'))
    const all = [...sent]
    expect(await polledFor()).toEqual([])
    expect(asksForHolds()).toBe(false)
    all.push(...sent)
    await transaction(client, (session) =>
      outbox.enqueue(session, event('order.placed', { aggregateId: 'a', payload: {} })),
    )
    expect(await polledFor()).toEqual([])
    expect(asksForHolds()).toBe(true)
    await outbox.stats()
    await outbox.deadLetters.requeueAll({})
    await outbox.purge({ olderThanMs: 0, limit: 10 })
    all.push(...sent)

    expect(all.map(({ name }) => name).filter((name) => !stable.has(name))).toEqual([])
    await db.dropDatabase()
    await client.close()
  })

  it('fetchUnpublished is one read at one instant: what a relay moves meanwhile is neither missed nor met twice', async () => {
    const client = new MongoClient(await sharedMongo(), { monitorCommands: true })
    const db = client.db(newName())
    const sent: Command[] = []
    const outbox = mongoOutbox({ client, db })
    await setup(db)
    client.on('commandStarted', ({ commandName, command }) => void sent.push({ name: commandName, body: command }))
    await outbox.fetchUnpublished(10)
    expect(sent.map(({ body }) => body['readConcern'])).toEqual([{ level: 'snapshot' }])
    await db.dropDatabase()
    await client.close()
  })

  it('an enqueue is five commands at most, and one insert however many events', async () => {
    const client = new MongoClient(await sharedMongo(), { monitorCommands: true })
    const db = client.db(newName())
    const sent: string[] = []
    const outbox = mongoOutbox({ client, db })
    await setup(db)
    const events = Array.from({ length: 300 }, (_, n) =>
      event('order.placed', { aggregateId: `a-${n % 7}`, payload: { n } }),
    )
    client.on('commandStarted', ({ commandName }) => void sent.push(commandName))
    await transaction(client, (session) => outbox.enqueue(session, events))
    expect(sent).toEqual(['find', 'find', 'hello', 'update', 'insert', 'commitTransaction'])
    sent.length = 0
    await transaction(client, (session) => outbox.enqueue(session, events))
    expect(sent).toEqual(['find', 'find', 'update', 'insert', 'commitTransaction'])
    await db.dropDatabase()
    await client.close()
  })

  it('no command of an enqueue is larger than MongoDB takes, with many aggregates of the longest names', async () => {
    const client = new MongoClient(await sharedMongo(), { monitorCommands: true })
    const db = client.db(newName())
    const outbox = mongoOutbox({ client, db })
    await setup(db)
    const aggregateType = 't'.repeat(limits.nameBytes)
    const events = Array.from({ length: 22_000 }, (_, n) =>
      event('order.placed', {
        aggregateType,
        aggregateId: String(n).padEnd(limits.aggregateIdBytes, '-'),
        payload: {},
      }),
    )
    let largest = 0
    let most = 0
    client.on('commandStarted', ({ command }) => {
      // what belongs to the session is no part of it, and is little
      const { lsid: _, $clusterTime: __, ...own } = command
      largest = Math.max(largest, BSON.calculateObjectSize(own))
      for (const field of ['updates', 'documents']) most = Math.max(most, command[field]?.length ?? 0)
    })
    const receipts = await transaction(client, (session) => outbox.enqueue(session, events))
    expect(receipts).toHaveLength(events.length)
    expect(largest).toBeLessThan(16 * 1024 * 1024)
    // MongoDB takes 100,000
    expect(most).toBeLessThanOrEqual(10_000)
    // the counters were moved on, and are found again, each of them
    const again = await transaction(client, (session) => outbox.enqueue(session, events.slice(-10_001)))
    expect(new Set(again.map(({ sequence }) => sequence))).toEqual(new Set([2]))

    // where something is blocked in each partition, whoever looks asks after all aggregates in sight
    const holder = 'h'
    await outbox.join({ holder })
    const { leases: claims } = await outbox.poll({ holder })
    const leases = await outbox.acquire({ holder, claims, evict: [] })
    const lent = await outbox.fetch({ leases, limit: 1_000, limitPerAggregate: 1, maxBytes: 1e9 })
    const heads = [...new Map(lent.map((entry) => [entry.lease.partition, entry])).values()]
    expect(heads).toHaveLength(partitionCount)
    const settlements = heads.map(
      (entry) => ({ entry, outcome: 'dead', reason: 'poison', blocksAggregate: true }) as const,
    )
    await outbox.settle({ leases, settlements })
    const { duePartitions } = await mongoOutbox({ client, db }).poll({ holder })
    expect(duePartitions).toHaveLength(partitionCount)
    expect(largest).toBeLessThan(16 * 1024 * 1024)
    await db.dropDatabase()
    await client.close()
  })
})

it.each([
  [{ w: 1 }, { w: 'majority' }],
  [
    { w: 3, journal: true },
    { w: 'majority', journal: true },
  ],
  [{ w: 'everywhere' }, { w: 'everywhere' }],
  [{}, { w: 'majority' }],
])('the write concern %j becomes %j', (own, used) => {
  const asked: unknown[] = []
  const db = {
    databaseName: 'shop',
    writeConcern: own,
    command: async () => ({}),
    createCollection: async () => ({}),
    collection: (_: string, options: never): never => {
      asked.push(options)
      throw new Error('asked')
    },
  }
  expect(() => collectionsOf(db, namesIn())('entries')).toThrow('asked')
  expect(asked).toMatchObject([{ writeConcern: used, readConcern: { level: 'majority' }, readPreference: 'primary' }])
})
