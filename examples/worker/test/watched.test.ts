import { OutboxError } from '@outbox/core'
import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { createRelay } from '@outbox/relay'
import { relayHealth } from '@outbox/relay/health'
import { waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { runWatched } from '../src/watched.ts'

test('a database that refuses its backlog ends neither the watch nor the relay', async () => {
  const outbox = memoryOutbox()
  const relay = createRelay({ store: outbox, publisher: recordingPublisher() })
  const defect = new OutboxError('setup-required', 'no privilege', { missing: [] })
  let looks = 0
  const stats = (): Promise<never> => {
    looks += 1
    return Promise.reject(defect)
  }
  const stop = new AbortController()
  let hasEnded = false
  const running = runWatched(relay, relayHealth({ relay, store: { stats } }), stop, 10).then(() => {
    hasEnded = true
  })

  await waitFor(() => looks > 2 && relay.stats().partitions === 64, { what: 'the relay to be watched' })
  expect([relay.stats().state, hasEnded]).toEqual(['running', false])
  stop.abort()
  await running
})

test('the watch ends with the relay, however that ends', async () => {
  const outbox = memoryOutbox()

  const stopped = createRelay({ store: outbox, publisher: recordingPublisher() })
  const running = runWatched(stopped, relayHealth({ relay: stopped, store: outbox }), new AbortController())
  await waitFor(() => stopped.stats().partitions === 64, { what: 'the relay to be at work' })
  await stopped.stop()
  await running

  const mistaken = createRelay({
    store: { ...outbox, check: () => Promise.reject(new OutboxError('setup-required', 'no table', { missing: [] })) },
    publisher: recordingPublisher(),
  })
  const health = relayHealth({ relay: mistaken, store: outbox })
  await expect(runWatched(mistaken, health, new AbortController())).rejects.toThrow('no table')
})
