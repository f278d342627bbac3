import { type LeasedSource, OutboxError, type PartitionStats, partitionOf } from '@outbox/core'
import { type PublisherScript, recordingPublisher } from '@outbox/memory'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type HealthCheck, type RelayHealth, relayHealth, type Stall } from '../src/health.ts'
import type { Relay } from '../src/index.ts'
import { storeAway } from './store-probe.ts'
import { names, type TestRelay, World } from './world.ts'

const well: RelayHealth = { isLive: true, isReady: true, isStalled: false, reasons: [] }

describe('a relay', () => {
  test('that works is live and ready, and that has stopped is neither', async () => {
    const { world, health, relay } = await started()
    await world.enqueue('a')
    await world.clock.advance(10_000)
    expect(await health.check()).toEqual(well)
    await relay.stop()
    expect(await health.check()).toMatchObject({ isLive: false, isReady: false, reasons: ['The relay is stopped.'] })
  })

  test('is ready no sooner than it has started', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    const health = relayHealth({ relay, clock: world.clock })
    expect(await health.check()).toEqual({ ...well, isReady: false, reasons: ['The relay is idle.'] })
  })

  test('is live through an outage of the database, however long: it goes on by itself', async () => {
    const { world, health, relay, probe } = await started()
    probe.goAway()
    await world.clock.advance(600_000)
    expect(await health.check()).toEqual({ ...well, isReady: false, reasons: ['The database is away.'] })
    probe.comeBack()
    await world.clock.advance(5_000)
    expect(await health.check()).toEqual(well)
    await relay.stop()
  })

  test('is live before it was started, however long that takes: it stands still as it should', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    const health = relayHealth({ relay, store: world.store, clock: world.clock })
    await world.clock.advance(61_000)
    expect(await health.check()).toMatchObject({ isLive: true, isReady: false, reasons: ['The relay is idle.'] })
  })

  test('is live while the database refuses it, however long, also to a probe that asks only the relay', async () => {
    const { world, relay, probe } = await started()
    const life = relayHealth({ relay, clock: world.clock })
    const refusal = new OutboxError('setup-required', 'no such role', { missing: ['a role'] })
    probe.interfere = () => Promise.reject(refusal)
    await world.clock.advance(600_000)
    const reasons = ['The database refuses what the relay asks.']
    expect(await life.check()).toEqual({ ...well, isReady: false, reasons })
    probe.comeBack()
    await world.clock.advance(10_000)
    expect(await life.check()).toEqual(well)
    await relay.stop()
  })

  test('names the destinations that are away', async () => {
    const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
    const away = recordingPublisher(() => ({ status: 'unavailable', error }), { name: 'orders' })
    const { world, health, relay } = await started({ ...away, probe: () => Promise.reject(error) })
    await world.enqueue('a')
    await world.clock.advance(1_000)
    expect(await health.check()).toEqual({ ...well, isReady: false, reasons: ["'orders' is away."] })
    await relay.stop()
  })

  test('that has lost the leases, and the means to get them back, is not live after a while', async () => {
    const { world, health, relay, probe } = await started()
    expect(await health.check()).toEqual(well)
    probe.interfere = (method, proceed) => (method === 'poll' ? Promise.reject(new Error('a bug')) : proceed())
    await world.clock.advance(30_000)
    expect(await health.check()).toMatchObject({ isLive: true })
    await world.clock.advance(61_000)
    expect(await health.check()).toEqual({
      ...well,
      isLive: false,
      isReady: false,
      reasons: ['The relay has held no lease for 91 s, though the database is not known to be away.'],
    })
    await relay.stop()
  })
})

const refused = new Error('not now')
const patient = { maxAttempts: 1_000 }
/** Two aggregates of one partition, and one of another. */
const [stuck, neighbour, stranger] = acquaintances()

describe('a partition', () => {
  test('is stalled when its oldest is old and nothing leaves it, though entries leave others', async () => {
    const broker = recordingPublisher(refusing(stuck))
    const { world, health, relay } = await started(broker, { retry: patient })
    await world.enqueue(stuck)
    for (let i = 0; i < 6; i++) {
      await world.enqueue(stranger)
      expect(await checked(world, health, 10_000)).toEqual(i < 5 ? well : expect.anything())
    }
    expect(relay.stats()).toMatchObject({ published: 6, dead: 0 })
    expect(relay.stats().retried).toBeGreaterThan(5)
    expect(await health.check()).toEqual({
      isLive: true,
      isReady: false,
      isStalled: true,
      reasons: [`Nothing has left partition ${partitionOf('order', stuck)} for 60 s; the oldest entry is 60 s old.`],
    })
    await relay.stop()
  })

  test('is not stalled while others pass one that waits', async () => {
    const broker = recordingPublisher(refusing(stuck))
    const { world, health, relay } = await started(broker, { retry: patient })
    await world.enqueue(stuck)
    for (let i = 0; i < 10; i++) {
      await world.enqueue(neighbour)
      expect(await checked(world, health, 30_000)).toEqual(well)
    }
    await relay.stop()
  })

  test('moves when what cannot leave becomes a dead letter', async () => {
    const broker = recordingPublisher(refusing(stuck))
    const { world, health, relay } = await started(broker, { retry: { maxAttempts: 1 } })
    for (let i = 0; i < 3; i++) await world.enqueue(...names('others', 2), stuck)
    expect(await checked(world, health, 300_000)).toEqual(well)
    expect(relay.stats().dead).toBe(3)
    await relay.stop()
  })

  test('that another relay holds is the business of that one', async () => {
    const world = new World()
    const broken = world.relay(
      recordingPublisher(() => ({ status: 'retry', error: refused })),
      { retry: patient },
    )
    const fine = world.relay(recordingPublisher(), { retry: patient })
    await broken.relay.start()
    await fine.relay.start()
    await world.clock.advanceUntil(() => fine.relay.stats().partitions === 32)
    await world.clock.advance(2_000)
    const healthOf = ({ relay }: TestRelay): HealthCheck =>
      relayHealth({ relay, store: world.store, clock: world.clock })
    await world.enqueue(...names('a', 200))
    expect(await checked(world, healthOf(broken), 60_000)).toMatchObject({ isReady: false, isStalled: true })
    expect(await checked(world, healthOf(fine), 60_000)).toEqual(well)
    await broken.relay.stop()
    await fine.relay.stop()
  })

  test.each(['no lease', 'the lease of a relay that is gone'])(
    "that nobody takes, with %s, is all's business",
    async (lease) => {
      const world = new World()
      const lost = partitionOf('order', stuck)
      const store: LeasedSource = {
        ...world.store,
        async poll(request) {
          const poll = await world.store.poll(request)
          const others = poll.leases.filter(({ partition }) => partition !== lost)
          const gone = lease === 'no lease' ? [] : [{ partition: lost, epoch: 1, holder: 'gone' }]
          return { ...poll, leases: [...others, ...gone] }
        },
      }
      const relays = [1, 2].map(() => world.relay(recordingPublisher(), { store }).relay)
      for (const relay of relays) await relay.start()
      await world.enqueue(stuck)
      for (const relay of relays) {
        const health = relayHealth({ relay, store: world.store, clock: world.clock })
        expect(await checked(world, health, 60_000)).toMatchObject({
          isReady: false,
          isStalled: true,
          reasons: [expect.stringContaining(`Nothing has left partition ${lost} for 60 s`)],
        })
      }
      for (const relay of relays) await relay.stop()
    },
  )

  test('is told by a relay that has no partitions yet, too', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    await world.enqueue(stuck)
    const health = relayHealth({ relay, store: world.store, clock: world.clock, stuckAfterMs: 600_000 })
    expect(await checked(world, health, 60_000)).toMatchObject({
      isStalled: true,
      reasons: ['The relay is idle.', expect.stringMatching(/^Nothing has left/)],
    })
  })

  test('that comes from another relay has its time anew', async () => {
    const world = new World()
    const refuse = recordingPublisher(() => ({ status: 'retry', error: refused }))
    const [first, second] = [world.relay(refuse, { retry: patient }), world.relay(refuse, { retry: patient })]
    await first.relay.start()
    await world.clock.advance(2_000)
    await second.relay.start()
    await world.clock.advance(10_000)
    const health = relayHealth({ relay: second.relay, store: world.store, clock: world.clock })
    const ofFirst = names('a', 99).find((id) => second.relay.stats().heldElsewhere.includes(partitionOf('order', id)))
    await world.enqueue(ofFirst ?? '')
    expect(await checked(world, health, 600_000)).toEqual(well)
    await first.relay.stop()
    await world.clock.advanceUntil(() => second.relay.stats().heldElsewhere.length === 0)
    expect(await checked(world, health, 50_000)).toEqual(well)
    expect(await checked(world, health, 10_000)).toMatchObject({ isStalled: true })
    await second.relay.stop()
  })

  test('has its time anew when something old is requeued', async () => {
    const { world, health, relay, probe } = await started(recordingPublisher(rejectingOnce(stuck)))
    await world.enqueue(stuck)
    await checked(world, health, 600_000)
    probe.goAway() // what is requeued is still there when it is looked at
    await world.store.deadLetters.requeueAll({})
    expect(await health.check()).toMatchObject({ isStalled: false })
    probe.comeBack()
    expect(await checked(world, health, 60_000)).toEqual(well)
    expect(world.store.isEmpty).toBe(true)
    await relay.stop()
  })

  test('is not stalled while its oldest is young, whoever moves it', async () => {
    const { world, relay } = await started()
    const health = seeing(world, relay, () => ({ pending: 5, dead: 0, oldestPendingAgeMs: 59_000 }))
    expect(await checked(world, health, 600_000)).toEqual(well)
    await relay.stop()
  })

  test('has its time anew when something is committed late, beside dead letters', async () => {
    const { world, relay } = await started()
    let isCommitted = false
    const health = seeing(world, relay, () =>
      isCommitted
        ? { pending: 1, dead: 1, oldestPendingAgeMs: 600_000 }
        : { pending: 0, dead: 1, oldestPendingAgeMs: null },
    )
    await checked(world, health, 600_000)
    isCommitted = true
    expect(await checked(world, health, 50_000)).toEqual(well)
    expect(await checked(world, health, 10_000)).toMatchObject({ isStalled: true })
    await relay.stop()
  })
})

describe('an aggregate behind a dead letter', () => {
  const rejecting = recordingPublisher(({ aggregateId }) =>
    aggregateId === stuck ? { status: 'reject', error: refused } : undefined,
  )

  test('shows as a stall where nothing else leaves, and leaves the relay ready', async () => {
    const { world, health, relay } = await started(rejecting, { onDead: 'block' })
    await world.enqueue(stuck, stuck)
    const partition = partitionOf('order', stuck)
    expect(await checked(world, health, 600_000)).toEqual({
      ...well,
      isStalled: true,
      reasons: [
        `Nothing has left partition ${partition} for 590 s; the oldest entry is 600 s old.`,
        `Dead letters may hold up partition ${partition}.`,
      ],
    })
    await relay.stop()
  })

  test('hides no partition that stands still without dead letters', async () => {
    const broker = recordingPublisher(({ aggregateId }) =>
      aggregateId === stuck ? { status: 'reject', error: refused } : { status: 'retry', error: refused },
    )
    const { world, relay, health, stalls } = await started(broker, { onDead: 'block', retry: patient })
    await world.enqueue(stuck, stuck)
    await checked(world, health, 90_000)
    await world.enqueue(stranger)
    expect(await checked(world, health, 90_000)).toMatchObject({ isStalled: true, isReady: false })
    const of = (id: string): number => partitionOf('order', id)
    expect(stalls.map(({ partitions }) => partitions)).toEqual([
      [of(stuck)],
      [of(stuck), of(stranger)].sort((a, b) => a - b),
    ])
    expect(stalls[1]).toMatchObject({ oldestPendingAgeMs: 150_000, stillForMs: 60_000 })
    await relay.stop()
  })

  test('is told once, however often others of its partition leave, until it goes on', async () => {
    const { world, relay, health, stalls } = await started(rejecting, { onDead: 'block' })
    await world.enqueue(stuck, stuck)
    for (let i = 0; i < 5; i++) {
      await world.enqueue(neighbour)
      await checked(world, health, 120_000)
    }
    expect(stalls).toHaveLength(1)
    await world.store.deadLetters.discardAll({})
    await checked(world, health, 120_000)
    expect(stalls).toHaveLength(1)
    await world.enqueue(stuck, stuck)
    await checked(world, health, 120_000)
    expect(stalls).toHaveLength(2)
    await relay.stop()
  })
})

describe('a stall', () => {
  test('is told once, with what stands in the way, until something leaves again', async () => {
    const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
    let isAway = true
    const broker = recordingPublisher(() => (isAway ? { status: 'unavailable', error } : undefined), { name: 'orders' })
    const probe = (): Promise<void> => (isAway ? Promise.reject(error) : Promise.resolve())
    const { world, relay, health, stalls } = await started({ ...broker, probe })
    const stop = new AbortController()
    await world.enqueue(stuck)
    const watching = health.watch({ signal: stop.signal })
    await world.clock.advance(59_000)
    expect(stalls).toEqual([])
    await world.clock.advance(21_000)
    const partition = partitionOf('order', stuck)
    expect(stalls).toEqual([
      {
        partitions: [partition],
        oldestPendingAgeMs: 60_000,
        stillForMs: 60_000,
        reasons: [
          "'orders' is away.",
          `Nothing has left partition ${partition} for 60 s; the oldest entry is 60 s old.`,
        ],
      },
    ])
    for (const id of names('more', 10)) {
      await world.enqueue(id)
      await world.clock.advance(30_000)
    }
    await world.clock.advance(60_000)
    expect(stalls).toHaveLength(1)
    isAway = false
    await world.clock.advance(20_000)
    expect(world.store.isEmpty).toBe(true)
    isAway = true
    await world.enqueue(stranger)
    await world.clock.advance(90_000)
    expect(stalls.map(({ partitions }) => partitions)).toEqual([[partition], [partitionOf('order', stranger)]])
    await relay.stop()
    stop.abort()
    await watching
    expect(world.clock.pending).toBe(0)
  })
})

describe('a backlog', () => {
  const refusedRole = new OutboxError('setup-required', 'PostgreSQL refuses the connection: no such role.', {
    missing: ['role'],
  })

  const failures: readonly (readonly [string, unknown, string])[] = [
    ['is away', storeAway(), 'The database is away.'],
    ['refuses it', refusedRole, 'The backlog cannot be read: PostgreSQL refuses the connection: no such role.'],
    // of what a driver says nobody knows what it quotes
    ['fails otherwise', new TypeError('{"secret":1}'), 'The backlog cannot be read: TypeError'],
    [
      'fails with a code',
      Object.assign(new Error('42'), { code: '42601' }),
      'The backlog cannot be read: Error (42601)',
    ],
    ['fails with what is no error', undefined, 'The backlog cannot be read: undefined'],
  ]
  test.each(failures)(
    'that is not read, since the database %s, is an answer, and leaves the relay live',
    async (_, error, reason) => {
      const world = new World()
      const { relay } = world.relay(recordingPublisher())
      await relay.start()
      await world.clock.advance(2_000)
      const health = relayHealth({ relay, clock: world.clock, store: { stats: () => Promise.reject(error) } })
      expect(await health.check()).toEqual({ ...well, isReady: false, reasons: [reason] })
      await relay.stop()
    },
  )

  test('that cannot be read now and then restarts no time', async () => {
    const { world, relay } = await started(recordingPublisher(refusing(stuck)), { retry: patient })
    const stats = vi.fn(() => world.store.stats())
    const stalls: Stall[] = []
    const onStalled = (stall: Stall): void => void stalls.push(stall)
    const health = relayHealth({ relay, store: { stats }, clock: world.clock, onStalled })
    await world.enqueue(stuck)
    for (let i = 0; i < 12; i++) {
      if (i % 5 === 4) stats.mockRejectedValueOnce(refusedRole)
      await world.clock.advance(10_000)
      await health.check()
    }
    expect(stalls).toHaveLength(1)
    stats.mockRejectedValueOnce(storeAway())
    expect(await health.check()).toMatchObject({ isStalled: false })
    expect(await health.check(), 'an outage starts it anew').toMatchObject({ isStalled: false })
    await relay.stop()
  })

  test('that the watch cannot read is a process warning, once until it can; an outage is none', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    onTestFinished(() => warn.mockRestore())
    const { world, relay } = await started()
    const stats = vi.fn(() => world.store.stats())
    const health = relayHealth({ relay, store: { stats }, clock: world.clock })
    const stop = new AbortController()
    stats.mockRejectedValue(storeAway())
    const watching = health.watch({ signal: stop.signal })
    await world.clock.advance(60_000)
    expect(warn).not.toHaveBeenCalled()
    for (let times = 1; times <= 2; times++) {
      stats.mockRejectedValue(refusedRole)
      await world.clock.advance(60_000)
      expect(warn).toHaveBeenCalledTimes(times)
      expect(warn).toHaveBeenLastCalledWith(
        'The backlog cannot be read: PostgreSQL refuses the connection: no such role.',
      )
      stats.mockImplementation(() => world.store.stats())
      await world.clock.advance(60_000)
    }
    expect(warn).toHaveBeenCalledTimes(2)
    stop.abort()
    await watching
    await relay.stop()
  })

  test('that a bug hides says nothing of the database: a relay without leases is not live for it', async () => {
    const { world, relay, probe } = await started()
    probe.interfere = (method, proceed) => (method === 'poll' ? Promise.reject(new Error('a bug')) : proceed())
    const stats = vi.fn().mockRejectedValue(new TypeError('a bug'))
    const health = relayHealth({ relay, store: { stats }, clock: world.clock })
    expect(await checked(world, health, 120_000)).toMatchObject({ isLive: false })
    stats.mockRejectedValue(refusedRole)
    expect(await checked(world, health, 120_000)).toMatchObject({ isLive: true })
    await relay.stop()
  })

  test('that a store gives in no list is an answer, too', async () => {
    const { relay, world } = await started()
    const store = { stats: async () => ({}) as never } // a user of JavaScript
    expect(await relayHealth({ relay, store, clock: world.clock }).check()).toMatchObject({
      isLive: true,
      reasons: ['The backlog cannot be read: TypeError'],
    })
    await relay.stop()
  })

  test('that is refused for an hour leaves the relay live, and the watch goes on: it tells a stall after that', async () => {
    const { world, relay, probe } = await started(recordingPublisher(refusing(stuck)), { retry: patient })
    const stats = vi.fn(() => world.store.stats())
    const stalls: Stall[] = []
    const onStalled = (stall: Stall): void => void stalls.push(stall)
    const health = relayHealth({ relay, store: { stats }, clock: world.clock, onStalled })
    const stop = new AbortController()
    const watching = health.watch({ signal: stop.signal })
    stats.mockRejectedValue(refusedRole)
    probe.interfere = () => Promise.reject(refusedRole)
    await world.clock.advance(3_600_000)
    expect(await health.check()).toMatchObject({ isLive: true, isReady: false, isStalled: false })
    stats.mockImplementation(() => world.store.stats())
    probe.comeBack()
    await world.enqueue(stuck)
    await world.clock.advance(90_000)
    expect(stalls.map(({ partitions }) => partitions)).toEqual([[partitionOf('order', stuck)]])
    stop.abort()
    await watching
    await relay.stop()
  })
})

describe('a database that is silent', () => {
  const silent = { stats: () => new Promise<never>(() => undefined) }

  test('is away: the check answers in time, and the relay is live', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    await relay.start()
    await world.clock.advance(2_000)
    const from = world.clock.monotonic()
    const health = relayHealth({ relay, clock: world.clock, store: silent })
    expect(await world.clock.advanceUntilSettled(health.check())).toEqual({
      ...well,
      isReady: false,
      reasons: ['The database is away.'],
    })
    expect(world.clock.monotonic() - from).toBe(3_000)
    await relay.stop()
    expect(world.clock.pending).toBe(0)
  })

  test('holds up no check without a store, and the relay is live for as long as that lasts', async () => {
    const { world, relay, probe } = await started()
    const life = relayHealth({ relay, clock: world.clock })
    expect(await life.check()).toEqual(well)
    probe.interfere = () => new Promise<never>(() => undefined)
    for (let seconds = 0; seconds < 600; seconds += 10) {
      await world.clock.advance(10_000)
      const from = world.clock.monotonic()
      expect(await life.check()).toMatchObject({ isLive: true })
      expect(world.clock.monotonic()).toBe(from)
    }
    expect(await life.check()).toEqual({ ...well, isReady: false, reasons: ['The database is away.'] })
    await world.clock.advanceUntilSettled(relay.stop())
  })

  test('holds up neither the end of a watch nor a check that is no longer wanted', async () => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher())
    const health = relayHealth({ relay, clock: world.clock, store: silent })
    const stop = new AbortController()
    const watching = health.watch({ signal: stop.signal })
    const checking = health.check({ signal: stop.signal })
    stop.abort(new Error('enough'))
    await watching
    await expect(checking).rejects.toThrow('enough')
    expect(world.clock.pending).toBe(0)
  })
})

describe('an onStalled that fails', () => {
  const failures: readonly [string, () => unknown][] = [
    [
      'throws',
      () => {
        throw new Error('no pager')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no pager'))],
    ['rejects with what is no text', () => Promise.reject(Object.create(null))],
  ]
  test.each(failures)('and %s, rejects no check and is not swallowed', async (_how, fail) => {
    const world = new World()
    const { relay } = world.relay(recordingPublisher(refusing(stuck)), { retry: patient })
    const onStalled = vi.fn(fail)
    const health = relayHealth({ relay, store: world.store, clock: world.clock, onStalled })
    const warnings = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
    onTestFinished(() => warnings.mockRestore())
    await relay.start()
    await world.enqueue(stuck)
    expect(await checked(world, health, 60_000)).toMatchObject({ isLive: true, isStalled: true })
    expect(await health.check()).toMatchObject({
      isStalled: true,
      reasons: [expect.stringMatching(/^Nothing has left/), 'onStalled has failed.'],
    })
    expect(onStalled).toHaveBeenCalledTimes(1)
    expect(warnings).toHaveBeenCalledTimes(1)
    await relay.stop()
  })
})

/** The health of a relay that is shown these figures of one partition. */
function seeing({ clock }: World, relay: Relay, figures: () => Omit<PartitionStats, 'partition'>): HealthCheck {
  return relayHealth({ relay, clock, store: { stats: async () => ({ partitions: [{ partition: 7, ...figures() }] }) } })
}

/** Refuses one aggregate, for now. */
function refusing(aggregate: string): PublisherScript {
  return ({ aggregateId }) => (aggregateId === aggregate ? { status: 'retry', error: refused } : undefined)
}

/** Refuses one aggregate's first entry for good. */
function rejectingOnce(aggregate: string): PublisherScript {
  let isFirst = true
  return ({ aggregateId }) => {
    if (aggregateId !== aggregate || !isFirst) return undefined
    isFirst = false
    return { status: 'reject', error: refused }
  }
}

/** Checks every ten seconds, at the beginning and the end too. */
async function checked({ clock }: World, health: HealthCheck, ms: number): Promise<RelayHealth> {
  for (let atMs = 0; atMs < ms; atMs += 10_000) {
    await health.check()
    await clock.advance(10_000)
  }
  return health.check()
}

function acquaintances(): readonly [string, string, string] {
  const of = (id: string): number => partitionOf('order', id)
  const others = names('other', 999)
  const neighbour = others.find((id) => of(id) === of('stuck')) ?? ''
  const stranger = others.find((id) => of(id) !== of('stuck')) ?? ''
  return ['stuck', neighbour, stranger]
}

async function started(
  broker: Parameters<World['relay']>[0] = recordingPublisher(),
  options: Parameters<World['relay']>[1] = {},
): Promise<TestRelay & { readonly world: World; readonly health: HealthCheck; readonly stalls: readonly Stall[] }> {
  const world = new World()
  const test = world.relay(broker, options)
  const stalls: Stall[] = []
  const onStalled = (stall: Stall): void => void stalls.push(stall)
  const health = relayHealth({ relay: test.relay, store: world.store, clock: world.clock, onStalled })
  await test.relay.start()
  await world.clock.advance(2_000)
  return { ...test, world, health, stalls }
}
