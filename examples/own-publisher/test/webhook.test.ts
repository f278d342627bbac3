import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { event, type Publisher } from '@outbox/core'
import { memoryOutbox } from '@outbox/memory'
import { createRelay, type TickReport } from '@outbox/relay'
import { expect, test } from 'vitest'
import { webhookPublisher } from '../src/webhook.ts'

/** A webhook that answers as `listener` does. */
async function openWebhook(listener: RequestListener) {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('the webhook has no port')
  return {
    publisher: webhookPublisher(`http://127.0.0.1:${address.port}`),
    openConnections: () =>
      new Promise<number>((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Publishes one event of each of `count` aggregates; the first failure would be a dead letter. */
async function publishOnce(publisher: Publisher, count = 1): Promise<TickReport> {
  const outbox = memoryOutbox()
  const events = Array.from({ length: count }, (_, n) => event('order.placed', { aggregateId: `o-${n}`, payload: {} }))
  await outbox.transaction((tx) => outbox.enqueue(tx, events))
  // as long as the machine needs: what is not answered in time would count as unpublished
  const times = { publishTimeoutMs: 60_000, leaseMs: 120_000 }
  return createRelay({ store: outbox, publisher, retry: { maxAttempts: 1 }, ...times }).tick()
}

const answering =
  (status: number): RequestListener =>
  (request, response) => {
    request.resume()
    response.writeHead(status).end('an answer')
  }

test.each([429, 502, 503, 504])('while a gateway answers %i, no attempt is counted', async (status) => {
  await using webhook = await openWebhook(answering(status))
  expect(await publishOnce(webhook.publisher)).toMatchObject({ published: 0, dead: 0 })
})

test.each([413, 422, 500])('an answer of %i counts as an attempt', async (status) => {
  await using webhook = await openWebhook(answering(status))
  expect(await publishOnce(webhook.publisher)).toMatchObject({ published: 0, dead: 1 })
})

test('a webhook that nobody listens at has stored nothing, one that hangs up may have', async () => {
  const outcomesOf = async ({ publisher }: { readonly publisher: Publisher }) => {
    const outbox = memoryOutbox()
    await outbox.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId: '1', payload: {} })))
    const seen: string[] = []
    const relay = createRelay({
      store: outbox,
      publisher: {
        ...publisher,
        async publish(entries, options) {
          const outcomes = await publisher.publish(entries, options)
          seen.push(...outcomes.map(({ status }) => status))
          return outcomes
        },
      },
    })
    await relay.tick()
    return seen[0]
  }
  await using hangsUp = await openWebhook((request) => void request.socket.destroy())
  expect(await outcomesOf(hangsUp)).toBe('unknown')
  const closed = await openWebhook(answering(200))
  await closed[Symbol.asyncDispose]()
  expect(await outcomesOf(closed)).toBe('unavailable')
})

test('a long answer that nobody reads leaves no connection in use', async () => {
  await using webhook = await openWebhook((request, response) => {
    request.resume()
    response.end('x'.repeat(64 * 1024))
  })
  expect(await publishOnce(webhook.publisher, 500)).toMatchObject({ published: 500 })
  expect(await webhook.openConnections()).toBeLessThan(150)
})
