import { randomUUID } from 'node:crypto'
import { describeWith, type OwnServer, startNats, startTcpProxy, waitFor } from '@outbox/services'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { natsPublisher } from '../src/index.ts'
import {
  arrivals,
  batchingServer,
  clients,
  dueEntry,
  errorOf,
  type Observer,
  observe,
  publish,
  statuses,
  type TestConnection,
} from './support.ts'

const sequences = (aggregateId: string, ...list: readonly number[]) =>
  list.map((sequence) => dueEntry({ aggregateId, sequence }))

for (const client of clients) {
  describeWith(batchingServer.need, `atomic batches, ${client.name}`, () => {
    let server: OwnServer
    let observer: Observer
    let connection: TestConnection
    beforeAll(async () => {
      server = await batchingServer.start()
      observer = await observe(server.url)
      connection = await client.connect(server.url)
    })
    afterAll(async () => {
      await connection.close()
      await observer[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    })

    async function opened(config: object = {}, through: TestConnection = connection) {
      const base = `t${randomUUID()}`
      const stream = await observer.addStream(`${base}.>`, { allow_atomic: true, ...config })
      return {
        stream,
        publisher: natsPublisher({ connection: through, stream, subject: `${base}.{aggregateId}`, batch: 'atomic' }),
      }
    }

    it('all that one call has is stored at once, in the order given', async () => {
      const { stream, publisher } = await opened()
      expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([])
      const asked = connection.stats().inMsgs
      const entries = [...sequences('1', 1, 2), ...sequences('2', 1), ...sequences('1', 3)]
      expect(await statuses(publisher, entries)).toEqual(['published', 'published', 'published', 'published'])
      expect(connection.stats().inMsgs - asked).toBe(1)
      expect(await arrivals(observer, stream)).toEqual(['1/1', '1/2', '2/1', '1/3'])
    })

    it('more than a batch may hold are several, and an aggregate stays in order', async () => {
      const { stream, publisher } = await opened()
      const entries = sequences('1', ...Array.from({ length: 2_500 }, (_, index) => index + 1))
      expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['published']))
      expect(await arrivals(observer, stream)).toEqual(entries.map(({ sequence }) => `1/${sequence}`))
    })

    it('a repeat among them is told from the others, and nothing is stored twice', async () => {
      const { stream, publisher } = await opened()
      const entries = [...sequences('1', 1, 2, 3), ...sequences('2', 1)]
      expect(await statuses(publisher, entries.slice(0, 2))).toEqual(['published', 'published'])
      expect(await statuses(publisher, entries)).toEqual(['duplicate', 'duplicate', 'published', 'published'])
      expect((await arrivals(observer, stream)).toSorted()).toEqual(['1/1', '1/2', '1/3', '2/1'])
    })

    it('one that the stream refuses, or that has no subject, stops its own aggregate and nothing else', async () => {
      const { stream, publisher } = await opened({ max_msg_size: 1_500 })
      const entries = [...sequences('1', 1, 2, 3), ...sequences('2', 1, 2), ...sequences('', 1)]
      const large = { ...dueEntry({ aggregateId: '1', sequence: 2 }), payload: JSON.stringify('x'.repeat(1_500)) }
      entries[1] = large
      const outcomes = await statuses(publisher, entries)
      expect(outcomes.slice(0, 5)).toEqual(['published', 'reject', 'notSent', 'published', 'published'])
      expect(['reject', 'retry']).toContain(outcomes[5])
      expect((await arrivals(observer, stream)).toSorted()).toEqual(['1/1', '2/1', '2/2'])
    })

    it('a batch whose acknowledgement is lost with the connection is unknown, all of it, and then a repeat', async () => {
      await using proxy = await startTcpProxy(server.url)
      const through = await client.connect(proxy.through(server.url))
      const { stream, publisher } = await opened({}, through)
      const entries = [...sequences('1', 1, 2), ...sequences('2', 1)]
      expect(await statuses(publisher, sequences('0', 1, 2))).toEqual(['published', 'published'])
      proxy.holdAnswers()
      const publishing = statuses(publisher, entries)
      await waitFor(async () => (await observer.count(stream)) === 5, { what: 'the batch to be stored' })
      proxy.reset()
      proxy.heal()
      expect(await publishing).toEqual(['unknown', 'unknown', 'unknown'])
      await waitFor(
        () =>
          publisher.probe?.({}).then(
            () => true,
            () => false,
          ),
        { what: 'the client to be back' },
      )
      expect(await statuses(publisher, entries)).toEqual(['duplicate', 'duplicate', 'duplicate'])
      expect(await arrivals(observer, stream)).toEqual(['0/1', '0/2', '1/1', '1/2', '2/1'])
      await through.close()
    })

    it('a call that is aborted meanwhile leaves the batch unknown; one aborted before sends nothing', async () => {
      await using proxy = await startTcpProxy(server.url)
      const through = await client.connect(proxy.through(server.url))
      const { stream, publisher } = await opened({}, through)
      expect(await statuses(publisher, sequences('0', 1, 2))).toEqual(['published', 'published'])
      proxy.holdAnswers()
      const stop = new AbortController()
      const publishing = publisher.publish(sequences('1', 1, 2), { signal: stop.signal })
      await waitFor(async () => (await observer.count(stream)) === 4, { what: 'the batch to be stored' })
      stop.abort()
      expect((await publishing).map(({ status }) => status)).toEqual(['unknown', 'unknown'])
      const late = await publisher.publish(sequences('2', 1, 2), { signal: AbortSignal.abort() })
      expect(late.map(({ status }) => status)).toEqual(['notSent', 'notSent'])
      proxy.heal()
      await through.close()
    })

    it('a stream that takes no batches is told at start; until then its entries go one by one', async () => {
      const { stream, publisher } = await opened({ allow_atomic: false })
      expect(await errorOf(Promise.resolve(publisher.check?.({ retryHorizonMs: 1 })))).toMatchObject({
        code: 'setup-required',
        message: expect.stringContaining(`stream '${stream}' takes no batches: set allow_atomic`),
      })
      expect(await statuses(publisher, sequences('1', 1, 2))).toEqual(['published', 'published'])
      expect(await arrivals(observer, stream)).toEqual(['1/1', '1/2'])
    })
  })
}

describeWith({ own: 'nats', version: 'distribution' }, 'a server that is too old for batches', () => {
  it('is told at start; until then entries go one by one', async ({ skip }) => {
    await using server = await startNats({ version: 'distribution' })
    const [major = 0, minor = 0] = server.version.split('.').map(Number)
    if (major > 2 || minor >= 12) skip(`the distribution's nats-server ${server.version} is newer`)
    await using observer = await observe(server.url)
    const stream = await observer.addStream('events.>')
    for (const client of clients) {
      const connection = await client.connect(server.url)
      await using publisher = natsPublisher({ connection, stream, subject: 'events.{aggregateId}', batch: 'atomic' })
      expect(await errorOf(Promise.resolve(publisher.check?.({ retryHorizonMs: 1 })))).toMatchObject({
        code: 'setup-required',
        message: expect.stringContaining(`batch: 'atomic' needs nats-server 2.12, this is ${server.version}`),
      })
      const outcomes = await publish(publisher, sequences(client.name, 1, 2))
      expect(outcomes).toEqual([{ status: 'published' }, { status: 'published' }])
      await connection.close()
    }
  })
})
