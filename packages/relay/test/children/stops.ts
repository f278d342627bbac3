import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { event, OutboxError, type Publisher } from '@outbox/core'
import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { createRelay, type Relay, type RelayOptions } from '@outbox/relay'
import { StoreProbe, storeAway } from '../store-probe.ts'

/*
 * Stops a relay in every state, on the real clock, and prints one line of JSON for each: what is left behind. Nothing
 * here ends the process: it ends by itself, unless a timer or a handle holds it.
 */

interface State {
  readonly publisher?: Publisher
  readonly options?: Partial<RelayOptions>
  readonly before?: (probe: StoreProbe) => void
  /** the relay is where it is to be stopped */
  readonly isReached: (relay: Relay, probe: StoreProbe) => boolean
  readonly after?: (probe: StoreProbe) => void
}

const never = (): Promise<never> => new Promise(() => undefined)
const brokerAway = new OutboxError('unavailable', 'gone', { system: 'broker' })

const states: Readonly<Record<string, State>> = {
  'at rest': { isReached: (relay) => relay.stats().published === 1 },
  'starting, the check without an answer': {
    before: (probe) => {
      probe.interfere = never
    },
    isReached: (_relay, probe) => probe.count('check') > 0,
  },
  'in backoff': {
    publisher: recordingPublisher(() => ({ status: 'retry', error: new Error('not now') })),
    options: { retry: { minDelayMs: 60_000 } },
    isReached: (relay) => relay.stats().retried > 0,
  },
  'breaker open': {
    publisher: {
      ...recordingPublisher(() => ({ status: 'unavailable', error: brokerAway })),
      probe: () => Promise.reject(brokerAway),
    },
    isReached: (relay) => relay.stats().destinationsDown.length > 0,
  },
  'starting, a probe without an answer': {
    publisher: {
      ...recordingPublisher(() => ({ status: 'unavailable', error: brokerAway })),
      check: () => Promise.reject(brokerAway),
      probe: never,
    },
    isReached: (_relay, probe) => probe.count('check') > 0,
  },
  'publishing, without an answer': {
    publisher: { ...recordingPublisher(), publish: never },
    isReached: (_relay, probe) => probe.count('fetch') > 0,
  },
  'database away from the start': {
    before: (probe) => probe.goAway(),
    isReached: (relay) => relay.stats().isStoreDown,
  },
  'database away while it runs': {
    before: (probe) => {
      probe.interfere = (method, proceed) => (method === 'settle' ? Promise.reject(storeAway()) : proceed())
    },
    isReached: (relay) => relay.stats().isStoreDown,
    after: (probe) => probe.goAway(),
  },
  'database without an answer': {
    before: (probe) => {
      probe.interfere = (method, proceed) => (method === 'settle' ? never() : proceed())
    },
    isReached: (_relay, probe) => probe.count('settle') > 0,
    after: (probe) => {
      probe.interfere = never
    },
  },
}

for (const [state, scene] of Object.entries(states)) {
  const store = memoryOutbox()
  const probe = new StoreProbe(store)
  await store.transaction((tx) => store.enqueue(tx, event('order.placed', { aggregateId: 'a', payload: {} })))
  scene.before?.(probe)
  const relay = createRelay({
    store: probe.source,
    publisher: scene.publisher ?? recordingPublisher(),
    drainMs: 400,
    on: { error: ({ error }) => Promise.reject(error) },
    ...scene.options,
  })
  const stop = new AbortController()
  const ended = Promise.allSettled([relay.run({ signal: stop.signal })])
  while (!scene.isReached(relay, probe)) await sleep(5)
  scene.after?.(probe)
  stop.abort()
  await ended
  await new Promise((resolve) => setImmediate(resolve))
  const timers = process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
  const listeners = getEventListeners(stop.signal, 'abort').length
  process.stdout.write(`${JSON.stringify({ state, timers, listeners })}\n`)
}
