import { once } from 'node:events'
import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { createRelay, type Relay } from '@outbox/relay'
import { relayHealth } from '@outbox/relay/health'
import { expect, test } from 'vitest'
import { probesOf } from '../src/probes.ts'

test('a relay that works is live and ready; one that was stopped is neither', async () => {
  const outbox = memoryOutbox()
  const relay = createRelay({ store: outbox, publisher: recordingPublisher() })
  await using probes = await open(relay, outbox)
  expect([await probes.answer('/live'), await probes.answer('/ready')]).toEqual([
    [200, 'The relay is idle.'],
    [503, 'The relay is idle.'],
  ])
  await relay.start()
  expect([await probes.answer('/live'), await probes.answer('/ready')]).toEqual([
    [200, ''],
    [200, ''],
  ])
  await relay.stop()
  expect([await probes.answer('/live'), await probes.answer('/ready')]).toEqual([
    [503, 'The relay is stopped.'],
    [503, 'The relay is stopped.'],
  ])
})

test('while the database hangs, the probe of life is answered, and nobody waits for the database', async () => {
  const outbox = memoryOutbox()
  await using relay = createRelay({ store: outbox, publisher: recordingPublisher() })
  await relay.start()
  const asked = Promise.withResolvers<void>()
  const hung = Promise.withResolvers<never>()
  const stats = (): Promise<never> => {
    asked.resolve()
    return hung.promise
  }
  await using probes = await open(relay, { stats })
  const ready = probes.answer('/ready')
  await asked.promise
  expect(await probes.answer('/live')).toEqual([200, ''])
  hung.reject(new Error('the end of the test'))
  expect(await ready).toEqual([503, expect.stringContaining('The backlog cannot be read')])
})

async function open(relay: Relay, store: Parameters<typeof relayHealth>[0]['store']) {
  const server = probesOf(relay, relayHealth({ relay, store })).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    async answer(path: string): Promise<readonly [number, string]> {
      const response = await fetch(`http://127.0.0.1:${address.port}${path}`)
      return [response.status, await response.text()]
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
