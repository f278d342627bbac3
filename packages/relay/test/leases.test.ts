import { type DueEntry, OutboxError, type Publisher } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import type { RelayOptions } from '../src/index.ts'
import { dueEntry } from './due-entry.ts'
import { storeAway } from './store-probe.ts'
import { named, names, type TestRelay, World } from './world.ts'

describe('n relays', () => {
  test.each([1, 2, 3, 4, 5])('%i hold fair shares: exactly 64 mod n hold the larger', async (count) => {
    const world = new World()
    const relays = await started(world, count)
    await world.clock.advance(30_000)
    expectFairShares(relays)
    await stopped(world, relays)
  })

  test('nothing moves at rest: no lease is claimed or given back', async () => {
    const world = new World()
    const relays = await started(world, 5)
    await world.clock.advance(30_000)
    for (const { probe } of relays) probe.calls.length = 0
    await world.clock.advance(300_000)
    for (const { probe } of relays) {
      expect(probe.count('poll')).toBeGreaterThan(250)
      expect([probe.count('acquire'), probe.count('release'), probe.count('join')]).toEqual([0, 0, 0])
    }
    await stopped(world, relays)
  })

  test('a relay that joins or leaves moves only what fairness asks for, and no partition is lost', async () => {
    const world = new World()
    const relays = await started(world, 4)
    await world.clock.advance(30_000)
    const before = relays.map(({ relay }) => relay.stats().partitions)
    expect(before).toEqual([16, 16, 16, 16])
    const fifth = await started(world, 1)
    await world.clock.advance(30_000)
    expectFairShares([...relays, ...fifth])
    expect(relays.every(({ journal }) => journal.count('leasesLost') === 0)).toBe(true)
    await stopped(world, fifth)
    await world.clock.advance(30_000)
    expectFairShares(relays)
    await stopped(world, relays)
  })

  test('a 65th relay stands by, and steps in when another leaves', async () => {
    const world = new World()
    const relays = await started(world, 65)
    await world.clock.advance(60_000)
    const held = relays.map(({ relay }) => relay.stats().partitions)
    expect(held.filter((count) => count === 1)).toHaveLength(64)
    expect(held.filter((count) => count === 0)).toHaveLength(1)
    expect(relays.map(({ relay }) => relay.stats().heldElsewhere.length)).toEqual(held.map((count) => 64 - count))
    await stopped(world, relays.slice(0, 1))
    await world.clock.advance(10_000)
    expect(relays.slice(1).map(({ relay }) => relay.stats().partitions)).toEqual(Array(64).fill(1))
    await stopped(world, relays.slice(1))
  })
})

describe('a take-over', () => {
  test.each([0, 1, 250, 500, 999])(
    'comes only after a lease less one poll, by the clock of the one who takes over, and within the lease (%i ms apart)',
    async (apartMs) => {
      const world = new World()
      const leaseMs = 10_900 // no multiple of the poll: no look falls on its end by itself
      const [dying] = await started(world, 1, undefined, { leaseMs })
      await world.clock.advance(apartMs)
      const [survivor] = await started(world, 1, undefined, { leaseMs })
      if (!dying || !survivor) throw new Error('a relay was asked for, twice')
      await world.clock.advance(30_000)
      const beats = dying.probe.count('poll')
      await world.clock.advanceUntil(() => dying.probe.count('poll') > beats)
      const lastBeat = silence(world, dying)
      await world.clock.advanceUntil(() => survivor.relay.stats().partitions === 64)
      const silentForMs = world.clock.monotonic() - lastBeat
      expect(silentForMs).toBeGreaterThanOrEqual(leaseMs - 1_000)
      expect(silentForMs).toBeLessThanOrEqual(leaseMs + 1)
      await stopped(world, [survivor])
    },
  )

  test('is told to the one who was away, which claims anew under another name', async () => {
    const world = new World()
    const [sleeper, survivor] = await pair(world)
    silence(world, sleeper)
    await world.clock.advanceUntil(() => survivor.relay.stats().partitions === 64)
    sleeper.probe.comeBack()
    await world.clock.advance(10_000)
    expect(sleeper.journal.of('leasesLost').flatMap(({ partitions }) => partitions)).toHaveLength(32)
    expectFairShares([sleeper, survivor])
    const { relays } = await world.store.poll({ holder: 'an onlooker' })
    expect(relays.map(({ holder }) => holder).sort()).toEqual(['relay-1.2', 'relay-2.1'])
    await stopped(world, [sleeper, survivor])
  })

  test('does not follow from answers that this relay did not get: only what it saw counts as silence', async () => {
    const world = new World()
    const [first, second] = await pair(world)
    const looks = first.probe.count('poll')
    await world.clock.advanceUntil(() => first.probe.count('poll') > looks)
    for (const { probe } of [first, second]) probe.goAway()
    await world.clock.advance(9_200)
    // sent before the lease is over, answered after it
    first.probe.interfere = async (method, proceed) => {
      const answer = await proceed()
      if (method === 'poll') await new Promise<void>((resolve) => world.clock.schedule(resolve, 1_200))
      return answer
    }
    await world.clock.advance(3_000)
    second.probe.comeBack()
    first.probe.comeBack()
    await world.clock.advance(20_000)
    for (const { journal } of [first, second]) expect(journal.count('leasesLost')).toBe(0)
    expectFairShares([first, second])
    await stopped(world, [first, second])
  })

  test.each([0, 1])(
    'does not follow from an outage of the store that ends for relay %i first',
    async (comesBackFirst) => {
      const world = new World()
      const broker = recordingPublisher(undefined, { deduplicates: false })
      const relays = await started(world, 2, broker)
      await world.clock.advance(30_000)
      for (const { probe } of relays) {
        probe.interfere = (method, proceed) => {
          if (method !== 'settle') return proceed()
          for (const each of relays) each.probe.goAway()
          return proceedNever()
        }
      }
      await world.enqueue(...names('a', 50))
      await world.clock.advance(60_000)
      const sentBefore = broker.sent.length
      expect(sentBefore).toBeGreaterThan(0)
      for (const { probe } of comesBackFirst === 0 ? relays : relays.toReversed()) {
        probe.comeBack()
        await world.clock.advance(2_500)
      }
      await world.clock.advanceUntil(() => world.store.isEmpty)
      await world.clock.advance(30_000)
      expect(broker.sent).toHaveLength(50)
      for (const { journal } of relays) {
        expect([journal.count('leasesLost'), journal.count('settleRefused'), journal.count('error')]).toEqual([0, 0, 0])
      }
      await stopped(world, relays)
    },
  )
})

describe('an answer that is lost', () => {
  test.each(['join', 'poll', 'acquire', 'release'] as const)(
    'of %s costs nothing but a little time',
    async (method) => {
      const world = new World()
      const broker = recordingPublisher()
      const [first] = await started(world, 1, broker)
      if (!first) throw new Error('no relay')
      if (method === 'release') await world.clock.advance(5_000)
      if (method === 'release') first.probe.loseNextAnswer('release')
      const second = world.relay(broker)
      if (method !== 'release') second.probe.loseNextAnswer(method)
      await second.relay.start()
      await world.clock.advance(5_000)
      const { relays } = await world.store.poll({ holder: 'an onlooker' })
      expect(relays).toHaveLength(2) // and no stranger
      await world.clock.advance(25_000)
      expectFairShares([first, second])
      await world.enqueue(...names('a', 100))
      await world.clock.advanceUntil(() => world.store.isEmpty)
      expect(broker.sent).toHaveLength(100)
      await stopped(world, [first, second])
    },
  )

  test('of acquire, once per partition, leaves no lease that nobody works on', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const { relay, probe } = world.relay(broker)
    probe.loseNextAnswer('acquire')
    await relay.start()
    await world.enqueue(...names('a', 100))
    await world.clock.advanceUntil(() => world.store.isEmpty, 5_000)
    expect(relay.stats().partitions).toBe(64)
    await relay.stop()
  })
})

describe('a broker that is ahead of a restored database', () => {
  test('fences the relay, which gives the partition back and claims it above what the broker has seen', async () => {
    const world = new World()
    const broker = recordingPublisher(undefined, { fences: true })
    await world.enqueue('a')
    const { source } = await world.store.join({ holder: 'before the restore' })
    await world.store.release({ holder: 'before the restore', leases: [], leave: true })
    const { relay, journal } = world.relay(broker)
    await broker.publish([entryBeforeRestore(source)], { signal: AbortSignal.timeout(1_000) })
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty, 5_000)
    expect(broker.published.map(({ lease }) => lease.epoch)).toEqual([41, 42])
    expect(relay.stats()).toMatchObject({ published: 1, retried: 0, dead: 0, partitions: 64 })
    expect(journal.count('error')).toBe(0)
    await world.enqueue('a', 'a')
    await world.clock.advanceUntil(() => world.store.isEmpty, 5_000)
    await relay.stop()
  })
})

test('where partitions cannot be claimed, polls wake the work on those that are held', async () => {
  const world = new World()
  const { subscribe: _subscribe, ...store } = world.store
  let refusals = 0
  const acquire: typeof store.acquire = async (request) => {
    if (request.claims.length === 64) return store.acquire({ ...request, claims: request.claims.slice(0, 32) })
    refusals += 1
    throw new OutboxError('busy', 'somebody holds a row', { system: 'database' })
  }
  const broker = recordingPublisher()
  const { relay } = world.relay(broker, { store: { ...store, acquire } })
  await relay.start()
  await world.clock.advance(5_000)
  await world.enqueue(...names('a', 200))
  const { duePartitions } = await world.store.poll({ holder: 'an onlooker' })
  await world.clock.advance(10_000)
  expect(refusals).toBeGreaterThan(2)
  expect(relay.stats()).toMatchObject({ partitions: 32 })
  expect(new Set(broker.published.map(({ lease }) => lease.partition)).size).toBeGreaterThan(duePartitions.length / 4)
  await relay.stop()
})

test('a lease whose row somebody holds keeps no other from being claimed', async () => {
  const world = new World()
  const { subscribe: _subscribe, ...store } = world.store
  let isLocked = true
  const acquire: typeof store.acquire = async (request) => {
    if (!isLocked || request.claims.every(({ partition }) => partition !== 13)) return store.acquire(request)
    throw new OutboxError('busy', 'somebody holds a row', { system: 'database' })
  }
  let x = 0
  const random = (): number => (x = (x + 0.618) % 1)
  const { relay } = world.relay(recordingPublisher(), { store: { ...store, acquire }, random })
  await relay.start()
  await world.clock.advance(60_000)
  expect(relay.stats().partitions).toBe(63)
  isLocked = false
  await world.clock.advance(10_000)
  expect(relay.stats().partitions).toBe(64)
  await relay.stop()
})

test('polls that are slow, and answered, let a relay that died be evicted', async () => {
  const world = new World()
  const slow = { leaseMs: 4_000, publishTimeoutMs: 1_000 }
  const [dying, survivor] = await started(world, 2, undefined, slow)
  if (!dying || !survivor) throw new Error('two relays were asked for')
  await world.clock.advance(30_000)
  survivor.probe.interfere = async (method, proceed) => {
    if (method === 'poll') await new Promise<void>((resolve) => world.clock.schedule(resolve, 900))
    return proceed()
  }
  await world.clock.advance(10_000)
  silence(world, dying)
  await world.clock.advance(10_000)
  expect(survivor.relay.stats().partitions).toBe(64)
  await stopped(world, [survivor])
})

describe('the partitions that a relay holds are told', () => {
  test('when it has lost them, and when it has left', async () => {
    const world = new World()
    const { relay, journal } = world.relay(recordingPublisher())
    await relay.start()
    await world.clock.advance(1_000)
    const held = (): readonly number[] => journal.of('partitions').map(({ held }) => held.length)
    expect(held()).toEqual([64])
    await evictFirst(world)
    await world.clock.advance(10_000)
    expect(journal.of('leasesLost').map(({ partitions }) => partitions.length)).toEqual([64])
    expect(held()).toEqual([64, 0, 64])
    await relay.stop()
    expect(held()).toEqual([64, 0, 64, 0])
  })

  test('as lost, too, where they were to be given back once, and the store had not heard it', async () => {
    const world = new World()
    const evicting = recordingPublisher(async () => void (await evictFirst(world)))
    const { relay, journal, probe } = world.relay(evicting)
    probe.interfere = (method, proceed) => (method === 'release' ? Promise.reject(storeAway()) : proceed())
    await world.clock.advanceUntilSettled(relay.tick())
    probe.comeBack()
    await world.enqueue('a')
    await world.clock.advanceUntilSettled(relay.tick())
    const lost = journal.of('leasesLost').flatMap(({ partitions }) => partitions)
    expect(new Set(lost).size).toBe(64)
  })

  test('as given back, not as lost, where the answer to that was lost', async () => {
    const world = new World()
    const [first] = await started(world, 1)
    if (!first) throw new Error('a relay was asked for')
    await world.clock.advance(5_000)
    first.probe.loseNextAnswer('release')
    const [second] = await started(world, 1)
    await world.clock.advance(10_000)
    expect(first.journal.count('leasesLost')).toBe(0)
    expect(first.journal.of('partitions').at(-1)?.held).toHaveLength(32)
    await stopped(world, [first, ...(second ? [second] : [])])
  })
})

test('a tick that was fenced leaves nothing behind: the next one publishes', async () => {
  const world = new World()
  const broker = recordingPublisher(undefined, { fences: true })
  const { source } = await world.store.join({ holder: 'before the restore' })
  await world.store.release({ holder: 'before the restore', leases: [], leave: true })
  await broker.publish([entryBeforeRestore(source)], { signal: AbortSignal.timeout(1_000) })
  await world.enqueue('a')
  const { relay } = world.relay(broker)
  expect(await world.clock.advanceUntilSettled(relay.tick())).toMatchObject({ published: 0, isIdle: false })
  expect(await world.clock.advanceUntilSettled(relay.tick())).toMatchObject({ published: 1, isIdle: true })
})

describe('a hand-over', () => {
  test('waits for the batch in hand', async () => {
    const world = new World()
    let answer = (): void => undefined
    const slow = recordingPublisher(() => new Promise<undefined>((resolve) => (answer = () => resolve(undefined))))
    const first = world.relay(slow)
    await world.enqueue('a')
    await first.relay.start()
    await world.clock.advanceUntil(() => slow.sent.length === 1)
    const second = world.relay(recordingPublisher())
    await second.relay.start()
    await world.clock.advance(4_000)
    const partition = slow.sent[0]?.lease.partition
    const { leases } = await world.store.poll({ holder: 'an onlooker' })
    expect(leases.find((lease) => lease.partition === partition)?.holder).toBe('relay-1.1')
    answer()
    await world.clock.advance(10_000)
    expectFairShares([first, second])
    expect([first.journal.count('settleRefused'), first.journal.count('leasesLost')]).toEqual([0, 0])
    expect(slow.sent).toHaveLength(1)
    await stopped(world, [first, second])
  })

  test.each(['no answer', 'a wrong number of outcomes'])(
    'waits leaseMs for a publish that got %s: what it sent may arrive yet',
    async (answer) => {
      const world = new World()
      const unanswered = recordingPublisher(({ attempt }) =>
        attempt === 1 ? { status: 'unknown', error: new Error('no answer'), arrived: true } : undefined,
      )
      let isMended = answer === 'no answer'
      const publisher: Publisher = {
        ...unanswered,
        async publish(entries, options) {
          const outcomes = await unanswered.publish(entries, options)
          return isMended ? outcomes : []
        },
      }
      const first = world.relay(publisher, { retry: { minDelayMs: 30_000 } })
      await world.enqueue(...names('a', 64))
      await first.relay.start()
      await world.clock.advanceUntil(() => first.relay.stats().retried === 64)
      isMended = true
      const unresolved = new Set(unanswered.sent.map(({ lease }) => lease.partition))
      const second = world.relay(recordingPublisher())
      await second.relay.start()
      await world.clock.advance(8_000)
      const { leases } = await world.store.poll({ holder: 'an onlooker' })
      const kept = leases.filter(({ holder }) => holder === 'relay-1.1').map(({ partition }) => partition)
      expect(kept).toEqual(expect.arrayContaining([...unresolved]))
      await world.clock.advance(6_000)
      expectFairShares([first, second])
      await stopped(world, [first, second])
    },
  )
})

test('order holds while relays join and leave under load', async () => {
  const world = new World()
  const broker = recordingPublisher()
  const relays = await started(world, 1, broker)
  for (let round = 0; round < 12; round++) {
    for (let i = 0; i < 5; i++) await world.enqueue(...names('a', 40))
    if (round % 3 === 2) await stopped(world, relays.splice(0, 1))
    else relays.push(...(await started(world, 1, broker)))
    await world.clock.advance(700)
  }
  await world.clock.advanceUntil(() => world.store.isEmpty)
  expect(broker.sent).toHaveLength(12 * 5 * 40)
  for (const id of names('a', 40)) {
    const own = broker.published.filter(({ aggregateId }) => aggregateId === id).map(named)
    expect(own).toEqual(Array.from({ length: 60 }, (_, i) => `${id} ${i + 1}`))
  }
  await stopped(world, relays)
})

async function started(
  world: World,
  count: number,
  broker = recordingPublisher(),
  options: Partial<RelayOptions> = {},
): Promise<TestRelay[]> {
  const relays = Array.from({ length: count }, () => world.relay(broker, options))
  for (const { relay } of relays) await relay.start()
  return relays
}

async function pair(world: World): Promise<readonly [TestRelay, TestRelay]> {
  const [first, second] = await started(world, 2)
  if (!first || !second) throw new Error('two relays were asked for')
  await world.clock.advance(30_000)
  expectFairShares([first, second])
  return [first, second]
}

async function stopped(world: World, relays: readonly TestRelay[]): Promise<void> {
  await world.clock.advanceUntilSettled(Promise.all(relays.map(({ relay }) => relay.stop())))
}

/** From now on the relay is not heard, as if its process were stopped. @returns when its last beat was */
/** A rival takes the first relay for dead. */
async function evictFirst(world: World): Promise<void> {
  const { relays } = await world.store.poll({ holder: 'an onlooker' })
  const evict = relays.filter(({ holder }) => holder === 'relay-1.1')
  await world.store.join({ holder: 'a rival' })
  await world.store.acquire({ holder: 'a rival', claims: [], evict })
  await world.store.release({ holder: 'a rival', leases: [], leave: true })
}

function silence(world: World, { probe }: TestRelay): number {
  probe.interfere = proceedNever
  return world.clock.monotonic()
}

function proceedNever<Answer>(): Promise<Answer> {
  return new Promise(() => undefined)
}

function expectFairShares(relays: readonly TestRelay[]): void {
  const held = relays.map(({ relay }) => relay.stats().partitions).sort((a, b) => b - a)
  const smaller = Math.floor(64 / relays.length)
  expect(held).toEqual(relays.map((_, rank) => (rank < 64 % relays.length ? smaller + 1 : smaller)))
}

function entryBeforeRestore(source: string): DueEntry {
  const entry = dueEntry({ aggregateId: 'a', id: 'lost by the restore', source })
  return { ...entry, lease: { ...entry.lease, epoch: 41, holder: 'before the restore' } }
}
