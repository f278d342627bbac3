import { event, publisher } from '@outbox/core'
import { mongoInbox, mongoOutbox, setup, setupInbox } from '@outbox/mongo'
import { createRelay } from '@outbox/relay'
import { describeWith, type OwnServer, startMongo, waitFor } from '@outbox/services'
import { expectHandledAgain } from '@outbox/services/delivery-outage'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { newName, openDriver6, openDriver7, transaction } from './mongo-databases.ts'

const order = (aggregateId: string) => event('order.placed', { aggregateId, payload: {} })

describeWith({ own: 'mongo' }, 'a server that dies and comes back', () => {
  let server: OwnServer
  beforeAll(async () => {
    server = await startMongo({ options: ['--oplog-max-events', '5'], isDurable: true })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  it('is unavailable meanwhile; afterwards the relay goes on in order, and its change stream wakes it again', async () => {
    await using own = openDriver7(`${server.url}&serverSelectionTimeoutMS=500`)
    await setup(own.db)
    const outbox = mongoOutbox(own)
    const produce = () => transaction(own.client, (session) => outbox.enqueue(session, ['a', 'b'].map(order)))
    const published: string[] = []
    const errors: unknown[] = []
    await using relay = createRelay({
      store: outbox,
      on: { error: ({ error }) => void errors.push(error) },
      publisher: publisher({
        name: 'list',
        send: ({ aggregateId, sequence }) => void published.push(`${aggregateId}#${sequence}`),
      }),
    })
    await relay.start()
    await produce()
    await waitFor(() => published.length === 2, { what: 'the first two to be published' })
    let wakes = 0
    await using _ = await outbox.subscribe(() => void wakes++)

    await server.kill()
    await expect(outbox.stats()).rejects.toMatchObject({ code: 'unavailable', isRetryable: true })
    await expect(outbox.poll({ holder: 'h' })).rejects.toMatchObject({ code: 'unavailable' })
    await expect(produce()).rejects.toMatchObject({ code: 'unavailable' })

    await server.restart()
    await waitFor(() => produce().catch(() => undefined), { what: 'the server to answer', timeoutMs: 120_000 })
    const before = wakes
    for (let n = 0; n < 20; n++) await produce() // far more than the history of change streams holds
    await waitFor(() => wakes > before, { what: 'the change stream to wake again', timeoutMs: 120_000 })
    const { length } = await outbox.fetchUnpublished(1000)
    await waitFor(async () => (await outbox.stats()).pending === 0, { what: `${length} entries to be published` })
    for (const id of ['a', 'b']) {
      const sequences = published.filter((place) => place.startsWith(id)).map((place) => Number(place.slice(2)))
      expect([...new Set(sequences)]).toEqual(Array.from({ length: sequences.at(-1) ?? 0 }, (_, n) => n + 1))
      expect(sequences.at(-1)).toBeGreaterThanOrEqual(22)
    }
    expect(errors).toEqual([]) // an outage is none
  })

  it.each([
    ['7', openDriver7],
    ['6', openDriver6],
  ])('a client of driver %s whose first connection has failed comes back by itself', async (_, open) => {
    const name = newName()
    const before = open(server.url, name)
    await setup(before.db)
    await before.client.close()
    await server.kill()
    await using own = open(`${server.url}&serverSelectionTimeoutMS=200`, name)
    const down: unknown[] = []
    await using relay = createRelay({
      store: mongoOutbox(own),
      publisher: publisher({ name: 'nobody', send: () => undefined }),
      on: { storeDown: ({ error }) => void down.push(error) },
    })
    await relay.start()
    expect(down).toMatchObject([{ code: 'unavailable', cause: { name: 'MongoServerSelectionError' } }])
    await expect(mongoOutbox(own).stats()).rejects.toMatchObject({ code: 'unavailable' })

    await server.restart()
    await waitFor(() => !relay.stats().isStoreDown, { what: 'the relay to find its store', timeoutMs: 120_000 })
  })

  it('a client that cannot be connected anew tells why', async () => {
    await server.kill()
    const { client, db } = openDriver7(`${server.url}&serverSelectionTimeoutMS=200`)
    await expect(client.connect()).rejects.toMatchObject({ name: 'MongoServerSelectionError' })
    vi.spyOn(client, 'connect').mockRejectedValue(new Error('the password has changed'))
    const outbox = mongoOutbox({ client, db })
    await expect(outbox.stats()).rejects.toMatchObject({ cause: { name: 'MongoTopologyClosedError' } })
    await expect(outbox.stats()).rejects.toThrow('the password has changed')
    await server.restart()
  })

  it('a client that is closed while the names of its servers are looked up stays closed', async () => {
    await server.kill()
    const { client, db } = openDriver7(`${server.url}&serverSelectionTimeoutMS=200`)
    await expect(client.connect()).rejects.toMatchObject({ name: 'MongoServerSelectionError' })
    await server.restart()
    const lookUp = Promise.withResolvers<void>()
    const connect = client.connect.bind(client)
    const anew = vi.spyOn(client, 'connect').mockImplementation(async () => {
      await lookUp.promise
      return connect()
    })
    await expect(mongoOutbox({ client, db }).stats()).rejects.toMatchObject({
      cause: { name: 'MongoTopologyClosedError' },
    })
    await client.close()
    lookUp.resolve()
    await Promise.all(anew.mock.results.map(({ value }) => value))
    await waitFor(() => Reflect.get(client, 'topology') === undefined, { what: 'the client to be closed again' })
  })

  it('a client that is closed while a call waits for the server stays closed', async () => {
    const { client, db } = openDriver7(`${server.url}&serverSelectionTimeoutMS=60000&heartbeatFrequencyMS=500`)
    await setup(db)
    const outbox = mongoOutbox({ client, db })
    const isGone = new Promise<void>((resolve) => {
      client.on('serverDescriptionChanged', ({ newDescription }) => newDescription.type === 'Unknown' && resolve())
    })
    await server.kill()
    await isGone
    const opened: unknown[] = []
    client.on('topologyOpening', (event) => void opened.push(event))
    const waiting = expect(outbox.stats()).rejects.toMatchObject({ cause: { name: 'MongoTopologyClosedError' } })
    await client.close()
    await waiting
    await expect(outbox.stats()).rejects.toMatchObject({ cause: { name: 'MongoNotConnectedError' } })
    expect(opened).toEqual([])
    await server.restart()
  })

  it('a message whose effect went down with the server is handled again, once', async () => {
    await using own = openDriver7(`${server.url}&serverSelectionTimeoutMS=500`)
    await setupInbox(own.db)
    const inbox = mongoInbox(own)
    await expectHandledAgain(server, inbox, (work) => transaction(own.client, work))
  })
})

describeWith({ own: 'mongo' }, 'a server without change streams', () => {
  it('is polled', async () => {
    await using server = await startMongo({ options: ['--no-change-streams'] })
    await using own = openDriver7(server.url)
    await setup(own.db)
    const outbox = mongoOutbox(own)
    const published: number[] = []
    await using relay = createRelay({
      store: outbox,
      publisher: publisher({ name: 'list', send: ({ sequence }) => void published.push(sequence) }),
    })
    await relay.start()
    for (let n = 0; n < 3; n++) await transaction(own.client, (session) => outbox.enqueue(session, order('a')))
    await waitFor(() => published.length === 3, { what: 'all to be published' })
    expect(published).toEqual([1, 2, 3])
  })
})
