import { OutboxError } from '@outbox/core'
import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { createRelay } from '@outbox/relay'
import { relayHealth } from '@outbox/relay/health'
import { waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { runWatched } from '../src/watched.ts'

test('a watch that fails is told, and the relay goes on', async () => {
  const outbox = memoryOutbox()
  const relay = createRelay({ store: outbox, publisher: recordingPublisher() })
  const defect = new OutboxError('setup-required', 'no privilege', { missing: [] })
  const health = relayHealth({ relay, store: { stats: () => Promise.reject(defect) } })
  const complaints: unknown[] = []
  const stop = new AbortController()
  const running = runWatched(relay, health, { stop, complain: (error) => complaints.push(error) })

  await waitFor(() => complaints.length > 0 && relay.stats().partitions === 64, { what: 'the complaint' })
  expect(relay.stats().state).toBe('running')
  stop.abort()
  await running
  expect(complaints).toEqual([defect])
})

test('the watch ends with the relay, however that ends', async () => {
  const outbox = memoryOutbox()
  const options = { complain: (error: unknown) => expect.fail(String(error)) }

  const stopped = createRelay({ store: outbox, publisher: recordingPublisher() })
  const running = runWatched(stopped, relayHealth({ relay: stopped, store: outbox }), {
    ...options,
    stop: new AbortController(),
  })
  await waitFor(() => stopped.stats().partitions === 64, { what: 'the relay to be at work' })
  await stopped.stop()
  await running

  const mistaken = createRelay({
    store: { ...outbox, check: () => Promise.reject(new OutboxError('setup-required', 'no table', { missing: [] })) },
    publisher: recordingPublisher(),
  })
  const health = relayHealth({ relay: mistaken, store: outbox })
  await expect(runWatched(mistaken, health, { ...options, stop: new AbortController() })).rejects.toThrow('no table')
})
