import type { PublishOutcome } from '@outbox/core'
import { describeWith, type OwnServer, startTcpProxy, type TcpProxy, waitFor } from '@outbox/services'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import {
  arrivals,
  clients,
  connect,
  dueEntry,
  entriesOf,
  messageOf,
  publish,
  servers,
  statuses,
  statusOf,
  type TestClientOptions,
} from './support.ts'

const [{ name: serverName, need, start } = {}] = servers
if (!serverName || !need || !start) throw new Error('there is no server to test with')

for (const library of clients) {
  describeWith(need, `a connection of ${library.name} that breaks`, () => {
    let server: OwnServer
    let proxy: TcpProxy
    let direct: ReturnType<typeof connect>
    const opened: { disconnect(): void }[] = []
    beforeAll(async () => {
      server = await start()
      direct = connect(server.url)
    })
    beforeEach(async () => {
      await direct.flushall()
      await direct.config('RESETSTAT')
      proxy = await startTcpProxy(server.url)
    })
    afterEach(async () => {
      for (const client of opened.splice(0)) client.disconnect()
      await proxy[Symbol.asyncDispose]()
    })
    afterAll(async () => {
      direct.disconnect()
      await server[Symbol.asyncDispose]()
    })

    async function proxied(options: TestClientOptions = {}) {
      const client = library.connect(proxy.through(server.url), options)
      opened.push(client)
      await waitFor(() => client.status === 'ready', { what: 'the client to connect' })
      return client
    }
    /** how often the script ran */
    async function runs(): Promise<number> {
      const statistics = await direct.info('commandstats')
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(statistics)?.[1] ?? 0)
    }
    const warmUp = (client: Awaited<ReturnType<typeof proxied>>) =>
      publish(redisPublisher({ client, stream: 'warm' }), entriesOf('0', [1]))

    it.each<[string, TestClientOptions]>([
      ['resends nothing', { autoResendUnfulfilledCommands: false }],
      ['resends nothing and queues nothing', { autoResendUnfulfilledCommands: false, enableOfflineQueue: false }],
      ['gives up at once', { maxRetriesPerRequest: 0 }],
    ])(
      'between the write and its answer leaves the entry unknown, when the client %s; a retry is dropped',
      async (_, options) => {
        const client = await proxied(options)
        await warmUp(client)
        const publisher = redisPublisher({ client, stream: 'orders' })
        const entries = entriesOf('1', [1, 2])
        proxy.holdAnswers()
        const publishing = publish(publisher, entries)
        await waitFor(async () => (await direct.xlen('orders')) === 2, { what: 'the entries to be written' })
        proxy.reset()
        expect((await publishing).map(statusOf)).toEqual(['unknown', 'unknown'])
        proxy.heal()
        await waitFor(() => client.status === 'ready', { what: 'the client to be back' })
        expect(await statuses(publisher, entries)).toEqual(['duplicate', 'duplicate'])
        expect(await arrivals(direct, 'orders')).toEqual(['1/1', '1/2'])
      },
    )

    it('makes a client with default options send again: the script runs twice, and the entries are there once', async () => {
      const client = await proxied()
      await warmUp(client)
      const before = await runs()
      proxy.holdAnswers()
      const publishing = publish(redisPublisher({ client, stream: 'orders' }), entriesOf('1', [1, 2]))
      await waitFor(async () => (await direct.xlen('orders')) === 2, { what: 'the entries to be written' })
      proxy.reset()
      proxy.heal()
      expect((await publishing).map(statusOf)).toEqual(['duplicate', 'duplicate'])
      expect((await runs()) - before).toBe(2)
      expect(await arrivals(direct, 'orders')).toEqual(['1/1', '1/2'])
    })

    it('and what the client then sends behind our back is refused, once a new owner has written', async () => {
      const client = await proxied()
      await warmUp(client)
      const before = await runs()
      proxy.hold()
      const sentBefore = proxy.bytesFromClients
      const stopped = new AbortController()
      const publishing = redisPublisher({ client, stream: 'orders' }).publish(entriesOf('1', [1, 2], { epoch: 4 }), {
        signal: stopped.signal,
      })
      await waitFor(() => proxy.bytesFromClients > sentBefore, { what: 'the script call to leave the client' })
      stopped.abort()
      expect((await publishing).map(statusOf)).toEqual(['unknown', 'unknown'])

      const newOwner = redisPublisher({ client: direct, stream: 'orders' })
      expect(await statuses(newOwner, entriesOf('1', [3], { epoch: 5, holder: 'relay-b' }))).toEqual(['published'])
      proxy.reset()
      proxy.heal()
      await waitFor(async () => (await runs()) - before >= 2, { what: 'the client to send again' })
      expect(await arrivals(direct, 'orders')).toEqual(['1/3'])
    })

    it('and went silent for good is replaced, by a client with socketTimeout, also while it connects', async () => {
      const client = await proxied({ autoResendUnfulfilledCommands: false, socketTimeout: 1_000 })
      await warmUp(client)
      const publisher = redisPublisher({ client, stream: 'orders' })
      proxy.blackHole()
      expect(await statuses(publisher, [dueEntry()])).toEqual(['unknown'])
      await waitFor(() => client.status === 'connect', { what: 'the client to connect into the black hole' })
      proxy.heal()
      await waitFor(() => client.status === 'ready', { what: 'the client to find a way around the black hole' })
      await publisher.probe?.({})
      expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
    })

    it('aborting ends a publish at once: what was sent is unknown, what was not is not sent', async () => {
      const client = await proxied()
      await warmUp(client)
      proxy.holdAnswers()
      const stopped = new AbortController()
      const publisher = redisPublisher({ client, stream: (entry) => (entry.sequence < 3 ? 'a' : 'b') })
      const publishing = publisher.publish([...entriesOf('1', [1, 2, 3]), ...entriesOf('2', [2])], {
        signal: stopped.signal,
      })
      await waitFor(async () => (await direct.xlen('a')) === 3, { what: 'the entries to be written' })
      stopped.abort()
      expect((await publishing).map(statusOf)).toEqual(['unknown', 'unknown', 'notSent', 'unknown'])
    })

    it('a server that does not know the script is not told it any more once the publish was aborted', async () => {
      const client = await proxied()
      await direct.script('FLUSH')
      proxy.holdAnswers()
      const before = await runs()
      const stopped = new AbortController()
      const publishing = redisPublisher({ client, stream: 'orders' }).publish([dueEntry()], { signal: stopped.signal })
      await waitFor(async () => (await runs()) > before, { what: 'the script call to fail' })
      stopped.abort()
      expect((await publishing).map(statusOf)).toEqual(['unknown'])
      proxy.heal()
      await client.ping()
      await client.ping()
      expect(await direct.exists('orders')).toBe(0)
    })

    it('a publish that is aborted before it begins sends nothing', async () => {
      const client = await proxied()
      const publisher = redisPublisher({ client, stream: 'orders' })
      expect((await publisher.publish(entriesOf('1', [1, 2]), { signal: AbortSignal.abort() })).map(statusOf)).toEqual([
        'notSent',
        'notSent',
      ])
      await client.ping()
      expect(await direct.exists('orders')).toBe(0)
    })

    it("the client's own time-out leaves the entry unknown", async () => {
      const client = await proxied({ commandTimeout: 1_000 })
      await warmUp(client)
      proxy.holdAnswers()
      const [outcome] = await publish(redisPublisher({ client, stream: 'orders' }), [dueEntry()])
      expect(outcome?.status).toBe('unknown')
      expect(messageOf(outcome)).toMatch(/may have delivered: Command timed out/)
    })

    it('without a connection entries are unavailable, and none is left in the queue of the client', async () => {
      const client = await proxied()
      const publisher = redisPublisher({ client, stream: 'orders' })
      proxy.refuse()
      await waitFor(() => client.status === 'reconnecting', { what: 'the client to notice' })
      const outcomes: readonly PublishOutcome[] = await publish(publisher, [
        ...entriesOf('1', [1, 2]),
        ...entriesOf('2', [1]),
      ])
      expect(outcomes.map(statusOf)).toEqual(['unavailable', 'notSent', 'unavailable'])
      expect(messageOf(outcomes[0])).toMatch(/cannot be reached/)
      proxy.heal()
      await waitFor(() => client.status === 'ready', { what: 'the client to be back' })
      // answered after whatever the client had queued
      await client.ping()
      expect(await direct.exists('orders')).toBe(0)
      expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
    })

    it('a client that is still connecting, or lazy, is given the time', async () => {
      for (const options of [{}, { lazyConnect: true }, { lazyConnect: true, enableOfflineQueue: false }]) {
        const client = library.connect(server.url, options)
        opened.push(client)
        expect(client.status).not.toBe('ready')
        expect(await statuses(redisPublisher({ client, stream: 'orders' }), [dueEntry()])).toEqual(['published'])
      }
    })

    it('a client that was closed is unavailable, and says so', async () => {
      const client = await proxied()
      client.disconnect()
      await waitFor(() => client.status === 'end', { what: 'the client to close' })
      const publisher = redisPublisher({ client, stream: 'orders' })
      const [outcome] = await publish(publisher, [dueEntry()])
      expect(outcome?.status).toBe('unavailable')
      expect(messageOf(outcome)).toMatch(/it was closed/)
      await expect(publisher.probe?.({})).rejects.toThrow(/it was closed/)
    })

    it('any number of publishes at once make one listener of each kind, also while the client connects', async () => {
      const options = { autoResendUnfulfilledCommands: false, lazyConnect: true }
      const client = library.connect(proxy.through(server.url), options)
      opened.push(client)
      const listeners = () => client.eventNames().map((event) => client.listenerCount(event))
      const before = Math.max(...listeners())
      const publisher = redisPublisher({ client, stream: 'orders' })
      const publishAll = () => Array.from({ length: 12 }, (_, n) => statuses(publisher, entriesOf(String(n), [1])))
      const waiting = publishAll()
      expect(Math.max(...listeners())).toBeLessThanOrEqual(before + 2)
      expect(new Set((await Promise.all(waiting)).flat())).toEqual(new Set(['published']))

      proxy.holdAnswers()
      const sentBefore = proxy.bytesFromClients
      const unanswered = publishAll()
      await waitFor(() => proxy.bytesFromClients > sentBefore, { what: 'the script calls to leave the client' })
      expect(Math.max(...listeners())).toBeLessThanOrEqual(before + 2)
      proxy.reset()
      expect(new Set((await Promise.all(unanswered)).flat())).toEqual(new Set(['unknown']))
    })

    it('leaves no listener behind on the client', async () => {
      const client = await proxied({ autoResendUnfulfilledCommands: false })
      const before = client.eventNames().map((event) => [event, client.listenerCount(event)])
      const publisher = redisPublisher({ client, stream: (entry) => `orders:${entry.aggregateId}` })
      await publish(
        publisher,
        Array.from({ length: 30 }, (_, n) => dueEntry({ aggregateId: String(n) })),
      )
      await publisher.probe?.({})
      expect(client.eventNames().map((event) => [event, client.listenerCount(event)])).toEqual(before)
    })
  })
}
