import { type DueEntry, OutboxError, type Publisher, type PublishOutcome, permanent } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { routePublisher } from '../src/route.ts'
import { dueEntry } from './due-entry.ts'
import { named, names, World } from './world.ts'

const signal = AbortSignal.timeout(60_000)
const gone = new OutboxError('unavailable', 'gone', { system: 'left' })
const bySequence = (entry: DueEntry): 'left' | 'right' => (entry.sequence % 2 === 1 ? 'left' : 'right')

describe('a route', () => {
  test('keeps the order of an aggregate across destinations', async () => {
    const world = new World()
    const arrived: string[] = []
    const note = (entry: DueEntry): undefined => void arrived.push(named(entry))
    const destinations = { left: recordingPublisher(note), right: recordingPublisher(note) }
    const { relay } = world.relay(routePublisher({ route: bySequence, destinations }))
    for (let i = 0; i < 5; i++) await world.enqueue('a', 'b')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(arrived.filter((name) => name.startsWith('a'))).toEqual(['a 1', 'a 2', 'a 3', 'a 4', 'a 5'])
    expect(destinations.right.published.filter(({ aggregateId }) => aggregateId === 'b').map(named)).toEqual([
      'b 2',
      'b 4',
    ])
    await relay.stop()
  })

  test('to a destination that is away holds up only the aggregates that have something for it', async () => {
    const world = new World()
    let isAway = true
    const left = recordingPublisher(() => (isAway ? { status: 'unavailable', error: gone } : undefined), {
      name: 'left',
    })
    const right = recordingPublisher(undefined, { name: 'right' })
    const route = ({ aggregateId, sequence }: DueEntry): 'left' | 'right' =>
      aggregateId === 'both' && sequence === 2 ? 'left' : 'right'
    const { relay, journal, probe } = world.relay(routePublisher({ route, destinations: { left, right } }), {
      retry: { maxAttempts: 2 },
    })
    await world.enqueue('both', 'both', 'both', ...names('a', 50))
    await relay.start()
    await world.clock.advance(20_000)
    expect(right.published).toHaveLength(51)
    expect(world.store.length).toBe(2)
    expect(relay.stats()).toMatchObject({ dead: 0, destinationsDown: ['left'] })
    probe.calls.length = 0
    await world.clock.advance(60_000)
    expect(probe.count('settle'), 'an outage is no busy loop').toBeLessThan(60)
    isAway = false
    await world.clock.advanceUntil(() => world.store.isEmpty, 10_000)
    expect(left.published.map(({ attempt, sequence }) => [sequence, attempt])).toEqual([[2, 1]])
    expect(right.published.filter(({ aggregateId }) => aggregateId === 'both').map(named)).toEqual(['both 1', 'both 3'])
    expect(journal.count('destinationDown')).toBe(1)
    expect(journal.count('destinationUp')).toBe(1)
    await relay.stop()
  })

  test('burns no attempt of an entry that was not tried, though its destination is back by the time it is asked', async () => {
    const world = new World()
    let answersProbe = false
    let isAway = true
    const left: Publisher = {
      ...recordingPublisher(() => (isAway ? { status: 'unavailable', error: gone } : undefined), { name: 'left' }),
      probe: async () => {
        if (!answersProbe) throw gone
      },
    }
    const right = recordingPublisher(async () => {
      answersProbe = relay.stats().destinationsDown.length > 0 // back while the other destination is slow
      await new Promise<void>((resolve) => world.clock.schedule(resolve, 3_000))
      isAway = false
      return undefined
    })
    const route = ({ aggregateId }: DueEntry): 'left' | 'right' => (aggregateId.startsWith('l') ? 'left' : 'right')
    const { relay, journal } = world.relay(routePublisher({ route, destinations: { left, right } }), { lanes: 1 })
    await world.enqueue('l1')
    await relay.start()
    await world.clock.advanceUntil(() => relay.stats().destinationsDown.length > 0)
    await world.enqueue('l2', 'right')
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(journal.of('retry').filter(({ isRefusal }) => isRefusal)).toEqual([])
    await relay.stop()
  })

  test('that names no destination makes a dead letter that says so', async () => {
    const world = new World()
    const destinations: Record<string, Publisher> = { left: recordingPublisher() }
    const { relay } = world.relay(routePublisher({ route: () => 'nowhere', destinations }))
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(await world.deadReasons()).toEqual(["No route: 'nowhere' is none of left (event type order.placed)."])
    await relay.stop()
  })

  test('that names what every object has is no destination either', () => {
    const destinations: Record<string, Publisher> = { left: recordingPublisher() }
    const routed = routePublisher({ route: () => 'toString', destinations })
    expect(() => routed.destinationOf(dueEntry())).toThrow(/No route: 'toString'/)
  })

  test('that refuses an entry for ever, on purpose, makes a dead letter', async () => {
    const world = new World()
    const route = (): 'left' => {
      throw permanent('no such tenant')
    }
    const { relay, journal } = world.relay(routePublisher({ route, destinations: { left: recordingPublisher() } }))
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(await world.deadReasons()).toEqual(['no such tenant'])
    expect(journal.count('error')).toBe(0)
    await relay.stop()
  })

  test('without destinations is refused, and so is a destination that is no publisher', () => {
    expect(() => routePublisher({ route: () => 'left' as never, destinations: {} })).toThrow(/name one at least/)
    const { capabilities: _, ...half } = recordingPublisher()
    for (const left of [half, undefined, () => undefined]) {
      const options = { route: () => 'left', destinations: { left } } as never // a user of JavaScript
      expect(() => routePublisher(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    }
  })
})

describe('a routed publisher, used as a whole', () => {
  test('gives each entry the outcome of its destination, an outage of one included', async () => {
    const left: Publisher = { ...recordingPublisher(), publish: () => Promise.reject(gone) }
    const right = recordingPublisher()
    const routed = routePublisher({ route: bySequence, destinations: { left, right } })
    const entries = [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 })]
    const outcomes = await routed.publish(entries, { signal: AbortSignal.timeout(1_000) })
    expect(outcomes).toEqual([{ status: 'unavailable', error: gone }, { status: 'published' }])
  })

  test('collects the warnings of all', async () => {
    const warn = (message: string): Publisher => ({ ...recordingPublisher(), check: async () => [message] })
    const routed = routePublisher({ route: bySequence, destinations: { left: warn('l'), right: warn('r') } })
    expect(await routed.check?.({ retryHorizonMs: 1 })).toEqual(['l', 'r'])
  })
})

describe('a route within a route', () => {
  const outer = (inner: Publisher, beside: Publisher): Publisher =>
    routePublisher({
      route: ({ aggregateId }) => (aggregateId === 'b' ? 'beside' : 'inner'),
      destinations: { inner, beside },
    })

  test('is one route to all of their destinations, each with its own outages', async () => {
    const world = new World()
    const gone = new OutboxError('unavailable', 'gone', { system: 'far' })
    let isAway = true
    const script = (): PublishOutcome | undefined => (isAway ? { status: 'unknown', error: gone } : undefined)
    const far: Publisher = {
      ...recordingPublisher(script, { name: 'far' }),
      probe: async () => {
        if (isAway) throw gone
      },
    }
    const near = recordingPublisher(undefined, { name: 'near' })
    const inner = routePublisher({
      route: ({ aggregateId }) => (aggregateId === 'a' ? 'far' : 'near'),
      destinations: { far, near },
    })
    const { relay } = world.relay(outer(inner, near), { retry: { maxAttempts: 1 } })
    await world.enqueue('a', 'b', 'c')
    await relay.start()
    await world.clock.advance(2_000)
    expect(relay.stats()).toMatchObject({ published: 2, dead: 0, destinationsDown: ['far'] })
    expect(near.published.map(named).sort()).toEqual(['b 1', 'c 1'])
    isAway = false
    await world.clock.advanceUntil(() => world.store.isEmpty)
    await relay.stop()
  })
})

test('a route of somebody’s own that leads to itself is a bug, and no endless loop', async () => {
  const world = new World()
  const far = recordingPublisher()
  const own: Publisher & { destinations: readonly Publisher[]; destinationOf: () => Publisher } = {
    ...far,
    destinations: [far],
    destinationOf: () => own,
  }
  const { relay, journal } = world.relay(own)
  await world.enqueue('a')
  await relay.start()
  await world.clock.advanceUntil(() => journal.count('error') === 1)
  expect(journal.of('error')[0]?.error).toMatchObject({ code: 'callback-failed' })
  await relay.stop()
})

describe('a route as one publisher among others', () => {
  const route = (destinations: Readonly<Record<string, Publisher>>): Publisher =>
    routePublisher({ route: () => 'one', destinations })

  test('can be probed where all of its destinations can', async () => {
    const gone = new OutboxError('unavailable', 'gone', { system: 'two' })
    const one = { ...recordingPublisher(), probe: async () => undefined }
    const two = { ...recordingPublisher(), probe: () => Promise.reject(gone) }
    await route({ one }).probe?.({ signal })
    await expect(route({ one, two }).probe?.({ signal })).rejects.toBe(gone)
    expect(route({ one, three: recordingPublisher() }).probe).toBeUndefined()
  })

  test('sends no payload to a destination that does not take it', async () => {
    const small = recordingPublisher(undefined, { name: 'small' })
    const one = { ...small, capabilities: { ...small.capabilities, maxPayloadBytes: 10 } }
    const payload = JSON.stringify('a'.repeat(20))
    const [outcome] = await route({ one }).publish([dueEntry({ payload })], { signal })
    expect(outcome).toMatchObject({ status: 'reject', error: { message: expect.stringContaining("'small' takes 10") } })
    expect(small.sent).toEqual([])
  })
})

test('a destination that comes back without its set-up keeps the others from nothing', async () => {
  const world = new World()
  let hasComeBack = false
  const away = async (): Promise<never> => {
    throw gone
  }
  const left: Publisher = {
    ...recordingPublisher(undefined, { name: 'left' }),
    check: () => {
      if (!hasComeBack) return away()
      throw new OutboxError('setup-required', 'the stream is missing', { missing: ['stream'] })
    },
    probe: async () => (hasComeBack ? undefined : away()),
  }
  const right = recordingPublisher(undefined, { name: 'right' })
  const { relay, journal } = world.relay(routePublisher({ route: () => 'right', destinations: { left, right } }))
  await relay.start()
  await world.clock.advance(1_000)
  hasComeBack = true
  await world.clock.advance(30_000)
  expect(journal.names).toContain('error')
  await world.enqueue('a')
  await world.clock.advance(5_000)
  expect(right.published.map(named)).toEqual(['a 1'])
  await relay.stop()
})
