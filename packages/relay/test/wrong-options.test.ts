import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { describe, expect, it, vi } from 'vitest'
import { fanOutPublisher } from '../src/fan-out.ts'
import { relayHealth } from '../src/health.ts'
import { createRelay } from '../src/index.ts'
import { routePublisher } from '../src/route.ts'

const store = memoryOutbox()
const { poll: pol, ...rest } = store
const misspelt = { ...rest, pol }
const publisher = recordingPublisher()
const relay = createRelay({ store, publisher })
const route = (): 'orders' => 'orders'

describe('what cannot be meant is refused, with what to write instead:', () => {
  it.each<[string, (...given: never[]) => unknown, given: readonly unknown[], option: string, RegExp]>([
    ['a relay of nothing', createRelay, [], 'store', /pass an outbox store/],
    ['an event that there is not', relay.on.bind(relay), ['foo', () => {}], 'on.foo', /there are: published, retry,/],
    ['a listener that is none', relay.on.bind(relay), ['dead', 'x'], 'on.dead', /must be a function/],
    [
      'a listener given as text',
      createRelay,
      [{ store, publisher, on: { published: 'x' } }],
      'on.published',
      /function/,
    ],
    [
      'a misspelt event, though nobody listens',
      createRelay,
      [{ store, publisher, on: { eror: undefined } }],
      'on.eror',
      /there are: published, retry,/,
    ],
    [
      'half a store with leases',
      createRelay,
      [{ store: { ...store, fetch: undefined }, publisher }],
      'store',
      /has no fetch: a store with leases has all of their calls/,
    ],
    [
      'a store with leases whose call is misspelt',
      createRelay,
      [{ store: misspelt, publisher }],
      'store',
      /has no poll: a store with leases has all of their calls/,
    ],
    ['a fan-out without a name', fanOutPublisher, [{ destinations: [publisher], name: '' }], 'name', /not empty/],
    ['a Map of listeners', createRelay, [{ store, publisher, on: new Map([['dead', route]]) }], 'on', /an object of/],
    ['a number of tries', createRelay, [{ store, publisher, retry: 5 }], 'retry', /an object of options/],
    ['a promise of options', createRelay, [Promise.resolve({ store, publisher })], 'argument', /an object of options/],
    ['the health of nothing', relayHealth, [], 'relay', /relay is missing/],
    ['the health of no relay', relayHealth, [{}], 'relay', /relay is missing/],
    [
      'a time without its unit',
      relayHealth,
      [{ relay, stalledAfter: 5 }],
      'stalledAfter',
      /stalledAfterMs, stuckAfterMs/,
    ],
    [
      'a time that is none',
      relayHealth,
      [{ relay, stalledAfterMs: Number.NaN }],
      'stalledAfterMs',
      /write milliseconds/,
    ],
    ['a patience as text', relayHealth, [{ relay, stuckAfterMs: '1m' }], 'stuckAfterMs', /is '1m': write milliseconds/],
    [
      'a poll from the environment',
      createRelay,
      [{ store, publisher, pollIntervalMs: '1000' }],
      'pollIntervalMs',
      /is '1000': write milliseconds/,
    ],
    [
      'a policy as it is not called',
      createRelay,
      [{ store, publisher, onDead: 'stop' }],
      'onDead',
      /is 'stop': write 'skip'/,
    ],
    ['a time-out below 0', relayHealth, [{ relay, timeoutMs: -1 }], 'timeoutMs', /write milliseconds/],
    ['a time-out of nothing', relayHealth, [{ relay, timeoutMs: 0 }], 'timeoutMs', /from 1 to 2147483647/],
    ['no time-out', relayHealth, [{ relay, timeoutMs: Infinity }], 'timeoutMs', /from 1 to 2147483647/],
    ['the health of a store that is none', relayHealth, [{ relay, store: {} }], 'store', /has no stats/],
    ['a callback as text', relayHealth, [{ relay, onStalled: 'x' }], 'onStalled', /must be a function/],
    ['routes to nowhere', routePublisher, [], 'route', /must be a function/],
    ['destinations without a route', routePublisher, [{ destinations: { publisher } }], 'route', /must be a function/],
    ['a route without destinations', routePublisher, [{ route }], 'destinations', /must be publishers/],
    [
      'a misspelt name of routes',
      routePublisher,
      [{ route, destinations: { publisher }, nmae: 'x' }],
      'nmae',
      /there are: route, destinations, name/,
    ],
    ['a fan-out to nothing', fanOutPublisher, [], 'destinations', /must be publishers/],
    ['a list in the place of options', fanOutPublisher, [[publisher]], 'argument', /must be an object of options/],
    [
      'one publisher in the place of a list',
      fanOutPublisher,
      [{ destinations: publisher }],
      'destinations',
      /publishers/,
    ],
    ['a misspelt name', fanOutPublisher, [{ destinations: [publisher], nmae: 'x' }], 'nmae', /destinations, name/],
  ])('%s', (_, factory, given, option, message) => {
    expect(() => Reflect.apply(factory, undefined, given)).toThrow(
      expect.objectContaining({ code: 'invalid-option', details: { option }, message: expect.stringMatching(message) }),
    )
  })
})

it.each<[string, object, option: string, RegExp]>([
  ['without an end', { everyMs: Infinity }, 'everyMs', /from 1 to 2147483647/],
  ['that are no number', { everyMs: Number.NaN }, 'everyMs', /from 1 to 2147483647/],
  ['of nothing', { everyMs: 0 }, 'everyMs', /from 1 to 2147483647/],
  ['below 0', { everyMs: -5 }, 'everyMs', /from 1 to 2147483647/],
  ['without their unit', { every: 5_000 }, 'every', /there are: everyMs, signal/],
])('a watch with pauses %s is refused', async (_, options, option, message) => {
  const stats = vi.fn(() => store.stats())
  const health = relayHealth({ relay, store: { stats } })
  const watching = health.watch({ signal: AbortSignal.abort(), ...options })
  await expect(watching).rejects.toMatchObject({
    code: 'invalid-option',
    details: { option },
    message: expect.stringMatching(message),
  })
  expect(stats).not.toHaveBeenCalled()
})
