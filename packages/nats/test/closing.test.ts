import { getEventListeners } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describeWith, type OwnServer, spawnNode, startTcpProxy, waitFor } from '@outbox/services'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type NatsConnectionLike, type NatsSubscriptionLike, natsPublisher } from '../src/index.ts'
import { clients, dueEntry, messageOf, type Observer, observe, publish, servers, statuses } from './support.ts'

const subject = 'events.{aggregateId}'

/** What a publisher has open on a connection. */
function counted(connection: NatsConnectionLike) {
  const open = { subscriptions: 0, watches: 0, opened: 0 }
  const observed: NatsConnectionLike = {
    publish: (to, data, options) => connection.publish(to, data, options),
    subscribe(to, options): NatsSubscriptionLike {
      const subscription = connection.subscribe(to, options)
      open.subscriptions += 1
      open.opened += 1
      return {
        unsubscribe() {
          open.subscriptions -= 1
          subscription.unsubscribe()
        },
      }
    },
    status() {
      const statuses = connection.status()
      open.watches += 1
      const stop = (): void => {
        if ('stop' in statuses && typeof statuses.stop === 'function') statuses.stop()
      }
      const watched = {
        stop,
        async *[Symbol.asyncIterator]() {
          try {
            yield* statuses
          } finally {
            open.watches -= 1
          }
        },
      }
      return watched
    },
    isClosed: () => connection.isClosed(),
    isDraining: () => connection.isDraining(),
    get info() {
      return connection.info
    },
  }
  return { open, observed }
}

for (const { name, need, start } of servers) {
  for (const client of clients) {
    describeWith(need, `closing on ${name}, ${client.name}`, () => {
      let server: OwnServer
      let observer: Observer
      beforeAll(async () => {
        server = await start()
        observer = await observe(server.url)
        await observer.addStream('events.>')
      })
      afterAll(async () => {
        await observer[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      })

      it('makes one subscription for all that it publishes, and none before', async () => {
        const connection = await client.connect(server.url)
        const { open, observed } = counted(connection)
        await using publisher = natsPublisher({ connection: observed, subject })
        expect(open).toEqual({ subscriptions: 0, watches: 0, opened: 0 })
        for (const aggregateId of ['a', 'b', 'c']) await publish(publisher, [dueEntry({ aggregateId })])
        expect(open).toEqual({ subscriptions: 1, watches: 1, opened: 1 })
        await connection.close()
      })

      it('close() ends the subscription and the watch, and leaves the connection open', async () => {
        const connection = await client.connect(server.url)
        const { open, observed } = counted(connection)
        const publisher = natsPublisher({ connection: observed, subject })
        await publish(publisher, [dueEntry({ aggregateId: 'd' })])
        await publisher.close()
        await publisher.close()
        await waitFor(() => open.watches === 0, { what: 'the watch to end' })
        expect(open.subscriptions).toBe(0)
        expect(connection.isClosed()).toBe(false)
        const [outcome] = await publish(publisher, [dueEntry({ aggregateId: 'e' })])
        expect(outcome?.status).toBe('unavailable')
        expect(messageOf(outcome)).toContain('the publisher is closed')
        await connection.close()
      })

      it('close() in the middle: what was sent is unknown', async () => {
        await using proxy = await startTcpProxy(server.url)
        const connection = await client.connect(proxy.through(server.url))
        const publisher = natsPublisher({ connection, subject, ackTimeoutMs: 60_000 })
        proxy.hold()
        const outcomes = statuses(publisher, [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 })])
        await publisher.close()
        expect(await outcomes).toEqual(['unknown', 'notSent'])
        await connection.close()
      })

      it('leaves no listener on the signal, aborted or not', async () => {
        await using proxy = await startTcpProxy(server.url)
        const connection = await client.connect(proxy.through(server.url))
        await using publisher = natsPublisher({ connection, subject, ackTimeoutMs: 60_000 })
        const entries = Array.from({ length: 50 }, (_, n) => dueEntry({ aggregateId: `listener-${n}` }))
        const controller = new AbortController()
        const { signal } = controller
        const publishing = publisher.publish(entries, { signal })
        expect(getEventListeners(signal, 'abort')).toHaveLength(1)
        expect(new Set((await publishing).map(({ status }) => status))).toEqual(new Set(['published']))
        expect(getEventListeners(signal, 'abort')).toHaveLength(0)
        proxy.hold()
        const held = publisher.publish(entries, { signal })
        controller.abort()
        expect(new Set((await held).map(({ status }) => status))).toEqual(new Set(['unknown']))
        expect(getEventListeners(signal, 'abort')).toHaveLength(0)
        await connection.close()
      })

      it('at most maxInFlight messages wait at once, one per aggregate', async () => {
        await using proxy = await startTcpProxy(server.url)
        const connection = await client.connect(proxy.through(server.url))
        await using publisher = natsPublisher({ connection, subject, maxInFlight: 3 })
        proxy.hold()
        const controller = new AbortController()
        const entries = ['f', 'f', 'g', 'h', 'i', 'j'].map((aggregateId, n) => dueEntry({ aggregateId, sequence: n }))
        const publishing = publisher.publish(entries, { signal: controller.signal })
        controller.abort()
        expect((await publishing).map(({ status }) => status)).toEqual([
          ...['unknown', 'notSent', 'unknown', 'unknown'],
          ...['notSent', 'notSent'],
        ])
        await connection.close()
      })

      it('a publisher that nobody closed does not keep its process alive', async () => {
        const file = fileURLToPath(new URL('leaving.ts', import.meta.url))
        await using child = spawnNode(file, [server.url, client.name === 'nats 2' ? '2' : '3'])
        expect(await child.next()).toEqual(['published'])
        expect(await child.exit).toEqual({ code: 0, signal: undefined })
      })
    })
  }
}
