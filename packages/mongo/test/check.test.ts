import { event, OutboxError } from '@outbox/core'
import { type MongoDatabase, mongoInbox, mongoOutbox, setup, setupInbox } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { MongoClient } from 'mongodb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { newName, type Opened, openDriver7, transaction } from './mongo-databases.ts'

describeWith('mongo', 'check', () => {
  let own: Opened
  beforeEach(async () => {
    own = openDriver7(await sharedMongo())
  })
  afterEach(() => own[Symbol.asyncDispose]())

  const missing = async (): Promise<readonly string[]> => {
    const [outcome] = await Promise.allSettled([mongoOutbox(own).check()])
    if (outcome.status === 'fulfilled') return []
    if (!OutboxError.is(outcome.reason, 'setup-required')) throw outcome.reason
    return outcome.reason.details.missing
  }
  const entries = () => own.db.collection('outbox_entries')

  it('names every collection that is missing, and passes after setup, however often and from how many', async () => {
    expect(await missing()).toEqual(
      ['entries', 'sequences', 'relays', 'leases', 'meta'].map((one) => `collection outbox_${one}`),
    )
    await Promise.all([setup(own.db), setup(own.db), setup(own.db)])
    await setup(own.db)
    expect(await missing()).toEqual([])
  })

  it('names an index that is missing, and one that is different', async () => {
    await setup(own.db)
    await own.db.command({ dropIndexes: 'outbox_entries', index: ['scan', 'order', 'sequence'] } as never)
    await entries().createIndexes([
      { name: 'order', key: { aggregate: 1, position: 1 } },
      { name: 'sequence', key: { aggregate: 1, sequence: 1 } },
    ] as never)
    expect(await missing()).toEqual([
      'index sequence on outbox_entries as setup makes it: the one that is there is different',
      'index scan on outbox_entries',
      'index order on outbox_entries as setup makes it: the one that is there is different',
    ])
    await expect(setup(own.db)).rejects.toMatchObject({
      code: 'setup-required',
      message: expect.stringContaining('Drop the one that is there, and call the same again.'),
    })
  })

  it('says the same to a client with options of its own, and asks the primary', async () => {
    const asked: unknown[] = []
    const own = { raw: true, promoteValues: false, useBigInt64: false, readPreference: 'secondaryPreferred' } as const
    const client = new MongoClient(await sharedMongo(), { ...own, monitorCommands: true })
    client.on('commandStarted', ({ commandName, command }) => {
      if (commandName === 'listIndexes') asked.push(command['$readPreference'] ?? 'primary')
    })
    const db = client.db(newName())
    await setup(db)
    await setup(db)
    await mongoOutbox({ client, db }).check()
    await db.collection('outbox_entries').dropIndex('scan')
    await expect(mongoOutbox({ client, db }).check()).rejects.toMatchObject({
      details: { missing: ['index scan on outbox_entries'] },
    })
    expect(new Set(asked)).toEqual(new Set(['primary']))
    await db.dropDatabase()
    await client.close()
  })

  it('refuses an index that lets entries expire', async () => {
    await setup(own.db)
    await entries().createIndexes([{ name: 'old', key: { enqueuedAt: 1 }, expireAfterSeconds: 86_400 }] as never)
    expect(await missing()).toEqual(['no TTL: the index old on outbox_entries deletes what may not be deleted'])
  })

  it('refuses a collection that takes names for one that differ: its indexes have a collation', async () => {
    await setup(own.db)
    const found = (await own.db.collection('outbox_entries').listIndexes().toArray()) as readonly { name?: string }[]
    // the server at hand knows no collations: what MongoDB tells of them is put in the place of its answer
    const told = found.map((index) => ({
      ...index,
      ...(index.name === 'sequence' && { collation: { locale: 'en' } }),
    }))
    const collection: MongoDatabase['collection'] = (name, options) =>
      name === 'outbox_entries'
        ? Object.assign(Object.create(own.db.collection(name)), { listIndexes: () => ({ toArray: async () => told }) })
        : own.db.collection(name, options)
    const db = new Proxy(own.db, { get: (target, name) => (name === 'collection' ? collection : bound(target, name)) })
    await expect(mongoOutbox({ client: own.client, db }).check()).rejects.toMatchObject({
      details: { missing: ['no collation: to the index sequence on outbox_entries, names that differ may be one'] },
    })
  })

  it.each([
    [0, 'version 1 of the outbox'],
    [2, 'a newer @outbox/mongo'],
  ])('refuses collections of version %i', async (version, words) => {
    await setup(own.db)
    const update = { $set: { value: version } }
    await own.db.collection('outbox_meta').updateMany({ _id: 'version' } as never, update as never)
    expect((await missing())[0]).toContain(words)
  })

  it('an inbox is checked and set up without an outbox, under a prefix of its own', async () => {
    const inbox = mongoInbox({ ...own, prefix: 'billing_' })
    await expect(inbox.check()).rejects.toMatchObject({
      details: { missing: ['collection billing_inbox', 'collection billing_meta'] },
    })
    await setupInbox(own.db, { prefix: 'billing_' })
    await inbox.check()
    expect(await missing()).toHaveLength(5)
  })

  /** No such servers are at hand here, so what one says of itself is put in the place of the real answer. */
  describe('a server that will not do', () => {
    const saying = (hello: object): MongoDatabase =>
      new Proxy(own.db, {
        get: (db, name) =>
          name === 'command'
            ? async () => ({ isWritablePrimary: true, localTime: new Date(), ok: 1, ...hello })
            : bound(db, name),
      })

    it('because it is a standalone is refused at start, with the reason and what to do', async () => {
      const check = mongoOutbox({ client: own.client, db: saying({ maxWireVersion: 21 }) }).check()
      await expect(check).rejects.toThrow(/standalone, which has no transactions[\s\S]*--replSet/)
      await expect(check).rejects.toMatchObject({ code: 'setup-required' })
    })

    it('because it is too old is refused, with the oldest that will do', async () => {
      const db = saying({ setName: 'rs0', maxWireVersion: 13 })
      await expect(mongoOutbox({ client: own.client, db }).check()).rejects.toMatchObject({
        code: 'setup-required',
        details: { missing: ['MongoDB 6.0 or newer; this server speaks wire version 13'] },
      })
    })
  })

  it('two outboxes with prefixes of their own do not see each other', async () => {
    const places = [{ prefix: 'one_' }, { prefix: 'two.' }]
    for (const place of places) await setup(own.db, place)
    const [one, two] = places.map((place) => mongoOutbox({ ...own, ...place }))
    await transaction(own.client, async (session) =>
      one?.enqueue(session, event('order.placed', { aggregateId: 'a', payload: {} })),
    )
    expect(await one?.fetchUnpublished(10)).toHaveLength(1)
    expect(await two?.fetchUnpublished(10)).toHaveLength(0)
  })
})

/** A property of an object; a method of it as one that knows its object. */
function bound(object: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(object, name)
  return typeof value === 'function' ? value.bind(object) : value
}
