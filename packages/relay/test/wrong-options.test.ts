import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { describe, expect, it } from 'vitest'
import { fanOutPublisher } from '../src/fan-out.ts'
import { relayHealth } from '../src/health.ts'
import { createRelay } from '../src/index.ts'
import { routePublisher } from '../src/route.ts'

const store = memoryOutbox()
const publisher = recordingPublisher()
const relay = createRelay({ store, publisher })
const route = (): 'orders' => 'orders'

describe('what cannot be meant is refused, with what to write instead:', () => {
  it.each<[string, (...given: never[]) => unknown, given: readonly unknown[], option: string, RegExp]>([
    ['a relay of nothing', createRelay, [], 'store', /pass an outbox store/],
    ['an event that there is not', relay.on.bind(relay), ['foo', () => {}], 'on.foo', /there are: published, retry,/],
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
    ['a patience as text', relayHealth, [{ relay, stuckAfterMs: '1m' }], 'stuckAfterMs', /write milliseconds/],
    ['a time-out below 0', relayHealth, [{ relay, timeoutMs: -1 }], 'timeoutMs', /write milliseconds/],
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
