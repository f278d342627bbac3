import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { event } from '@outbox/core'
import { memoryOutbox } from '@outbox/memory'
import { createRelay } from '@outbox/relay'
import { afterEach, expect, test } from 'vitest'
import { httpPublisher } from '../src/publisher.ts'

let gateway: Server
afterEach(() => {
  gateway.closeAllConnections()
  gateway.close()
})

test.each([429, 502, 503, 504])('while a gateway answers %i, no attempt is counted', async (status) => {
  gateway = createServer((request, response) => {
    request.resume()
    response.writeHead(status).end('<html>not now</html>')
  })
  gateway.listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  const address = gateway.address()
  if (typeof address !== 'object' || !address) throw new Error('the gateway has no port')
  const publisher = httpPublisher({ url: `http://127.0.0.1:${address.port}` })

  const outbox = memoryOutbox()
  await outbox.transaction((tx) => outbox.enqueue(tx, event('order.placed', { aggregateId: '1', payload: {} })))
  const report = await createRelay({ store: outbox, publisher, retry: { maxAttempts: 1 } }).tick()
  expect(report).toMatchObject({ published: 0, dead: 0 })
  await expect(publisher.probe?.({})).rejects.toThrow(`the broker answered ${status}`)
})
