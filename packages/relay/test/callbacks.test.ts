import { type DueEntry, OutboxError, type Publisher } from '@outbox/core'
import { called } from '@outbox/core/adapter'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { fanOutPublisher } from '../src/fan-out.ts'
import { type RoutedPublisher, routePublisher } from '../src/route.ts'
import { named, names, type TestRelay, World } from './world.ts'

const retry = { maxAttempts: 3 }

/** Throws for aggregates whose name begins with `bad`, until it is mended. */
class Callback {
  isBroken = true
  calls = 0

  readonly call = ({ aggregateId }: DueEntry): 'left' => {
    this.calls += 1
    if (this.isBroken && aggregateId.startsWith('bad')) throw new TypeError(`no tenant of ${aggregateId}`)
    return 'left'
  }
}

/** As a publisher does that asks a function of the user for the name of a stream. */
function naming(broker: Publisher, { call }: Callback): Publisher {
  return {
    ...broker,
    async publish(entries, options) {
      const failed = new Set<string>()
      const outcomes = entries.map(async (entry) => {
        if (failed.has(entry.aggregateId)) return { status: 'notSent' } as const
        try {
          called('stream of redisPublisher', () => call(entry))
          return (await broker.publish([entry], options))[0] ?? ({ status: 'notSent' } as const)
        } catch (error) {
          failed.add(entry.aggregateId)
          return { status: 'retry', error } as const
        }
      })
      return Promise.all(outcomes)
    },
  }
}

/** Gives one outcome too few for each batch in which there is a bad entry. */
function miscounting(broker: Publisher, callback: Callback): Publisher {
  return {
    ...broker,
    capabilities: { keepsOrderInBatch: true },
    async publish(entries, options) {
      const hasBad = entries.some((entry) => callback.isBroken && entry.aggregateId.startsWith('bad'))
      return hasBad ? [] : broker.publish(entries, options)
    },
  }
}

const kinds: readonly (readonly [string, string, (broker: Publisher, callback: Callback) => Publisher])[] = [
  [
    'a route',
    'route of routePublisher',
    (broker, { call }) => routePublisher({ route: call, destinations: { left: broker } }),
  ],
  ['a function of a publisher', 'stream of redisPublisher', naming],
  [
    'a function of a publisher, within a fan-out',
    'stream of redisPublisher',
    (broker, callback) => fanOutPublisher({ destinations: [naming(broker, callback)] }),
  ],
  [
    'a route, within a fan-out',
    'route of routePublisher',
    (broker, { call }) =>
      fanOutPublisher({ destinations: [routePublisher({ route: call, destinations: { left: broker } })] }),
  ],
]

describe.each(kinds)('a bug in %s', (_, during, publisherOf) => {
  function withBug(): TestRelay & {
    readonly world: World
    readonly callback: Callback
    readonly broker: ReturnType<typeof recordingPublisher>
  } {
    const world = new World()
    const callback = new Callback()
    const broker = recordingPublisher()
    return { world, callback, broker, ...world.relay(publisherOf(broker, callback), { retry }) }
  }

  test('costs its entries no attempt, however long it lasts; they leave in order once it is mended', async () => {
    const { world, callback, broker, relay, journal } = withBug()
    await world.enqueue('bad', 'good', 'bad', 'good')
    await relay.start()
    await world.clock.advance(3_600_000)
    expect(broker.published.map(named)).toEqual(['good 1', 'good 2'])
    expect(relay.stats()).toMatchObject({ dead: 0, published: 2 })
    expect(journal.of('retry').every(({ isRefusal }) => !isRefusal)).toBe(true)
    callback.isBroken = false
    await world.clock.advance(15_000)
    expect(broker.published.slice(2).map((entry) => [named(entry), entry.attempt])).toEqual([
      ['bad 1', 1],
      ['bad 2', 1],
    ])
    await relay.stop()
  })

  test('is an error event that says which function it is, and no flood', async () => {
    const { world, callback, relay, journal } = withBug()
    await world.enqueue(...names('bad', 300))
    await relay.start()
    await world.clock.advance(5_000)
    expect(journal.of('error')[0]).toMatchObject({
      during,
      error: {
        code: 'callback-failed',
        message: expect.stringMatching(new RegExp(`^The function ${during} threw: no tenant of bad\\d+$`)),
        cause: expect.any(TypeError),
      },
    })
    expect(callback.calls).toBeLessThanOrEqual(600)
    await world.clock.advance(595_000)
    expect(journal.count('error')).toBeGreaterThanOrEqual(10)
    expect(journal.count('error')).toBeLessThanOrEqual(50)
    expect(callback.calls, 'each entry once in ten seconds').toBeLessThanOrEqual(2 * 60 * 300)
    await relay.stop()
  })
})

describe('a publisher that gives a wrong number of outcomes', () => {
  test('costs no attempt, is told once a minute, and goes on when it is mended', async () => {
    const world = new World()
    const callback = new Callback()
    const broker = recordingPublisher()
    const { relay, journal } = world.relay(miscounting(broker, callback), { retry })
    await world.enqueue('bad', 'bad')
    await relay.start()
    await world.clock.advance(600_000)
    expect(relay.stats()).toMatchObject({ dead: 0, published: 0 })
    expect(journal.count('error')).toBeGreaterThanOrEqual(9)
    expect(journal.count('error')).toBeLessThanOrEqual(11)
    callback.isBroken = false
    await world.clock.advance(15_000)
    expect(world.store.isEmpty).toBe(true)
    await relay.stop()
  })
})

/** What a function gives that is no answer. */
const noAnswers: readonly (readonly [string, () => unknown])[] = [
  ['nothing', () => undefined],
  ['a number', () => 1],
  ['a promise', async () => 'left'],
  ['a promise that rejects', () => Promise.reject(new Error('no tenant'))],
]

describe.each(noAnswers)('a route that gives %s', (_, route) => {
  test('has a bug, which costs no attempt', async () => {
    const world = new World()
    const destinations = { left: recordingPublisher() }
    const { relay, journal } = world.relay(routePublisher({ route: route as never, destinations }), { retry })
    await world.enqueue('a')
    await relay.start()
    await world.clock.advance(120_000)
    expect(relay.stats()).toMatchObject({ dead: 0, published: 0 })
    expect(journal.of('error')[0]).toMatchObject({
      during: 'route of routePublisher',
      error: { code: 'callback-failed' },
    })
    await relay.stop()
  })
})

test('a bug beside a refusal, within a fan-out, is what is told, and costs no attempt', async () => {
  const world = new World()
  const refusing = recordingPublisher(() => ({ status: 'retry', error: new Error('not now') }))
  const callback = new Callback()
  const destinations = [refusing, naming(recordingPublisher(), callback)]
  const { relay, journal } = world.relay(fanOutPublisher({ destinations }), { retry })
  await world.enqueue('bad')
  await relay.start()
  await world.clock.advance(120_000)
  expect(relay.stats()).toMatchObject({ dead: 0 })
  expect(journal.of('error')[0]).toMatchObject({ during: 'stream of redisPublisher' })
  await relay.stop()
})

describe('a routed publisher of one’s own', () => {
  const left = recordingPublisher(undefined, { name: 'left' })
  const faulty: readonly (readonly [string, () => unknown, during: string])[] = [
    [
      'throws',
      () => {
        throw new TypeError('no tenant')
      },
      "destinationOf of 'own'",
    ],
    ['names nothing', () => undefined, "destinationOf of 'own'"],
    ['names a stranger', () => recordingPublisher(), "destinationOf of 'own'"],
    ['answers later', async () => left, "destinationOf of 'own'"],
    [
      'asks a function that throws',
      () =>
        called('tenant of own', () => {
          throw new TypeError('no tenant')
        }),
      'tenant of own',
    ],
  ]
  test.each(faulty)('that %s has a bug, which costs no attempt', async (_, destinationOf, during) => {
    const world = new World()
    const own: RoutedPublisher = {
      ...recordingPublisher(undefined, { name: 'own' }),
      destinations: [left],
      destinationOf: destinationOf as never, // a user of JavaScript
    }
    const { relay, journal } = world.relay(own, { retry })
    await world.enqueue('a')
    await relay.start()
    await world.clock.advance(120_000)
    expect(relay.stats()).toMatchObject({ dead: 0, published: 0 })
    expect(journal.of('error')[0]).toMatchObject({ during, error: { code: 'callback-failed' } })
    await relay.stop()
  })
})

test('a publisher that answers its abort with nothing has a bug: what it was given is unknown, and costs no attempt', async () => {
  const world = new World()
  const silent: Publisher = {
    ...recordingPublisher(),
    publish: (_, { signal }) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined as never))),
  }
  const { relay, journal } = world.relay(silent, { retry })
  await world.enqueue('a')
  await relay.start()
  await world.clock.advance(120_000)
  expect(relay.stats()).toMatchObject({ dead: 0, published: 0 })
  expect(journal.of('retry').length).toBeGreaterThan(retry.maxAttempts)
  expect(journal.of('retry').every(({ isRefusal }) => !isRefusal)).toBe(true)
  expect(journal.of('error')[0]).toMatchObject({ error: { code: 'callback-failed' } })
  await relay.stop()
})

test('a retryFor that is asynchronous is an error event, and one that rejects ends no process: that is another', async () => {
  const rejection = new Error('no rules')
  for (const [retryFor, told] of [
    [async () => ({ maxAttempts: 9 }), []],
    [() => Promise.reject(rejection), [{ during: 'retryFor', error: rejection }]],
  ] as const) {
    const world = new World()
    const refusing = recordingPublisher(() => ({ status: 'retry', error: new Error('not now') }))
    const { relay, journal } = world.relay(refusing, { retry, retryFor: retryFor as never })
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(relay.stats()).toMatchObject({ dead: 1, retried: retry.maxAttempts - 1 })
    expect(journal.of('error')[0]).toMatchObject({
      during: 'retryFor',
      error: { code: 'invalid-option', details: { option: 'retry' } },
    })
    expect(journal.of('error').slice(1)).toEqual(told)
    await relay.stop()
  }
})

test('a listener that throws at each event is told once a minute', async () => {
  const world = new World()
  const { relay, journal } = world.relay(recordingPublisher())
  relay.on('published', () => {
    throw new Error('a bug')
  })
  await relay.start()
  for (let i = 0; i < 50; i++) {
    await world.enqueue('a')
    await world.clock.advance(1_000)
  }
  expect(relay.stats().published).toBe(50)
  expect(journal.count('error')).toBe(1)
  await relay.stop()
})

test('a publisher that refuses with an error of the outbox counts attempts as ever', async () => {
  const world = new World()
  const error = new OutboxError('invalid-option', 'the stream is empty', { option: 'stream' })
  const { relay } = world.relay(
    recordingPublisher(() => ({ status: 'retry', error })),
    { retry },
  )
  await world.enqueue('a')
  await relay.start()
  await world.clock.advanceUntil(() => world.store.isEmpty)
  expect(await world.deadReasons()).toEqual(['the stream is empty'])
  await relay.stop()
})
