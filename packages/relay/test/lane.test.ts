import { type Clock, type LeasedSource, type Publisher, partitionOf, type Wake } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { dueEntry } from './due-entry.ts'
import { storeAway } from './store-probe.ts'
import { named, names, World } from './world.ts'

describe('a lane', () => {
  test('publishes what is committed, in order per aggregate, and settles it', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const { relay, journal } = world.relay(broker)
    await world.enqueue('a', 'b', 'a', 'a', 'b')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.published.filter(({ aggregateId }) => aggregateId === 'a').map(named)).toEqual(['a 1', 'a 2', 'a 3'])
    expect(broker.published.filter(({ aggregateId }) => aggregateId === 'b').map(named)).toEqual(['b 1', 'b 2'])
    expect(relay.stats()).toMatchObject({ published: 5, retried: 0, dead: 0, settlesRefused: 0, partitions: 64 })
    expect(journal.of('published').flatMap(({ entries }) => entries)).toHaveLength(5)
    await relay.stop()
  })

  test('publishes at once what a commit in this process wakes it for', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const { relay } = world.relay(broker)
    await relay.start()
    await world.clock.advance(60_000)
    await world.enqueue('a')
    await world.clock.advance(0)
    expect(broker.published).toHaveLength(1)
    await relay.stop()
  })

  test('looks once for each wake-up, and no further than the lanes of its partitions', async () => {
    const world = new World()
    let fetches: number[] = []
    let wake: Wake = () => undefined
    const store: LeasedSource = {
      ...world.store,
      async fetch(request) {
        fetches.push((request.leases[0]?.partition ?? 0) % 4)
        return world.store.fetch(request)
      },
      async subscribe(given) {
        wake = given
        return { [Symbol.asyncDispose]: async () => undefined }
      },
    }
    const { relay } = world.relay(recordingPublisher(), { store, lanes: 4 })
    await relay.start()
    await world.clock.advance(60_050)
    const fetchesAfter = async (ring: () => void): Promise<readonly number[]> => {
      fetches = []
      ring()
      await world.clock.advance(900) // the next poll comes later
      return fetches.toSorted((a, b) => a - b)
    }
    expect(await fetchesAfter(() => wake([6, 10, 3]))).toEqual([2, 3])
    expect(await fetchesAfter(() => wake([]))).toEqual([])
    expect(await fetchesAfter(() => wake())).toEqual([0, 1, 2, 3])
    expect(await fetchesAfter(() => relay.wake())).toEqual([0, 1, 2, 3])
    await relay.stop()
  })

  describe('whose leases have become too short for a publish when the store lends', () => {
    /** A relay whose batch is lent two seconds after its last look was answered; a publish takes up to eight of nine. */
    const slow = async ({ pollTakesMs }: { readonly pollTakesMs?: number } = {}) => {
      const world = new World()
      const broker = recordingPublisher()
      let lent = 0
      let settled = 0
      let answerPolls = (): void => undefined
      let polls: Promise<void> = Promise.resolve()
      const holdPolls = (): void => {
        if (pollTakesMs !== undefined) return
        polls = new Promise((resolve) => {
          answerPolls = resolve
        })
      }
      const store: LeasedSource = {
        ...world.store,
        fetch: async (request) => {
          const entries = await world.store.fetch(request)
          if (entries.length === 0) return entries
          lent += 1
          holdPolls()
          await new Promise<void>((resolve) => world.clock.schedule(resolve, 2_000))
          return entries
        },
        poll: async (request) => {
          await polls
          const answer = await world.store.poll(request)
          if (lent > 0 && pollTakesMs) await new Promise<void>((resolve) => world.clock.schedule(resolve, pollTakesMs))
          return answer
        },
        settle: async (request) => {
          settled += 1
          return world.store.settle(request)
        },
      }
      const { relay } = world.relay(broker, { store, lanes: 1, publishTimeoutMs: 8_000 })
      await relay.start()
      await world.clock.advance(10_000)
      await world.enqueue('a')
      await world.clock.advance(2_500)
      expect([lent, broker.sent.length]).toEqual([1, 0])
      return {
        world,
        broker,
        relay,
        lentSoFar: () => lent,
        settledSoFar: () => settled,
        answerPolls: () => answerPolls(),
      }
    }

    test('publishes after the look that lengthens them, and has nothing lent again', async () => {
      const { world, broker, relay, lentSoFar, answerPolls } = await slow()
      answerPolls()
      await world.clock.advance(1_500)
      expect([lentSoFar(), broker.published.length]).toEqual([1, 1])
      await relay.stop()
    })

    test('gives back what it has when they run out', async () => {
      const { world, broker, relay, lentSoFar, answerPolls } = await slow()
      await world.clock.advance(20_000)
      expect([lentSoFar(), broker.sent.length]).toEqual([1, 0])
      answerPolls()
      await world.clock.advance(1_500)
      expect(lentSoFar()).toBe(2)
      answerPolls()
      await world.clock.advance(10_000)
      expect(broker.published).toHaveLength(1)
      await relay.stop()
    })

    test('gives back what it has, too, when looks keep the leases, and each comes too late for a publish', async () => {
      // each tells, after three seconds, that the leases last for six more; a publish takes up to eight
      const { world, broker, relay, lentSoFar, settledSoFar } = await slow({ pollTakesMs: 3_000 })
      await world.clock.advance(9_000)
      expect([lentSoFar(), settledSoFar(), broker.sent.length]).toEqual([1, 1, 0])
      await world.clock.advance(60_000)
      expect([lentSoFar(), relay.stats().partitions]).toEqual([1, 64])
      await world.clock.advanceUntilSettled(relay.stop())
    })

    test('waits for no look once it is told to stop', async () => {
      const { world, broker, relay, answerPolls } = await slow()
      const stopped = relay.stop()
      await world.clock.advance(100)
      answerPolls()
      await world.clock.advanceUntilSettled(stopped)
      expect(broker.sent).toEqual([])
    })
  })

  test('works beside the others again when a suspect entry is gone by the time it is looked for alone', async () => {
    const world = new World()
    const ofLane = (lane: number): string => names('a', 99).find((id) => partitionOf('order', id) % 2 === lane) ?? ''
    let answer = (): void => undefined
    const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)))
    const broker = recordingPublisher(({ aggregateId }) => (aggregateId === ofLane(1) ? held : undefined))
    let isThere = false // not at the first look at a partition, which is a turn alone
    let isGone = false
    const store: LeasedSource = {
      ...world.store,
      fetch: async (request) => {
        const lease = request.leases.find(({ partition }) => partition % 2 === 0)
        if (!isThere || isGone || !lease) return world.store.fetch(request)
        isGone = true
        return [dueEntry({ lease, crashes: 2 })]
      },
    }
    const { relay } = world.relay(broker, { store, lanes: 2 })
    await relay.start()
    await world.clock.advance(2_000)
    relay.wake()
    await world.clock.advance(1_000)
    isThere = true
    relay.wake()
    await world.clock.advance(1_000)
    expect(isGone).toBe(true)
    await world.enqueue(ofLane(1))
    await world.clock.advanceUntil(() => broker.sent.length === 1)
    await world.enqueue(ofLane(0))
    await world.clock.advance(3_000)
    expect(broker.published.map(({ aggregateId }) => aggregateId)).toEqual([ofLane(0)])
    answer()
    await world.clock.advanceUntilSettled(relay.stop())
  })

  test('holds up no other while it has no partition, though it never sees that what was under suspicion is gone', async () => {
    const world = new World()
    let answer = (): void => undefined
    const held = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)))
    const broker = recordingPublisher(({ aggregateId }) => (aggregateId === slow ? held : undefined))
    const store: LeasedSource = {
      ...world.store,
      acquire: async (request) =>
        (await world.store.acquire(request)).map((lease) => ({ ...lease, hasSuspects: true })),
    }
    const other = world.relay(recordingPublisher())
    await other.relay.start()
    const { relay } = world.relay(broker, { store, lanes: 64 }) // half of its lanes get no partition
    await relay.start()
    await world.clock.advanceUntil(() => relay.stats().partitions === 32)
    relay.wake()
    await world.clock.advance(5_000)
    const theirs = new Set(other.journal.of('partitions').at(-1)?.held)
    const [slow = '', quick = ''] = names('a', 99).filter((id) => !theirs.has(partitionOf('order', id)))
    await world.enqueue(slow)
    await world.clock.advance(50)
    relay.wake()
    await world.enqueue(quick)
    await world.clock.advance(50)
    expect(broker.published.map(({ aggregateId }) => aggregateId)).toContain(quick)
    answer()
    await relay.stop()
    await other.relay.stop()
  })

  test('sends no more of a batch once its leases are lost, though it has others by then', async () => {
    const world = new World()
    const answers: (() => void)[] = []
    const recording = recordingPublisher(
      () => new Promise<undefined>((resolve) => answers.push(() => resolve(undefined))),
    )
    const broker: Publisher = { ...recording, capabilities: { keepsOrderInBatch: false } } // an entry in each wave
    const { relay, journal } = world.relay(broker, { lanes: 1 })
    await world.enqueue('a', 'a', 'a')
    await relay.start()
    await world.clock.advanceUntil(() => answers.length === 1)
    const [holder = ''] = (await world.store.poll({ holder: 'nobody' })).relays.map((each) => each.holder)
    const { relays } = await world.store.poll({ holder })
    await world.store.acquire({ holder, claims: [], evict: relays })
    await world.clock.advanceUntil(() => journal.of('leasesLost').length === 1)
    await world.clock.advance(1_500) // it has joined anew
    for (const answer of answers) answer()
    await world.clock.advance(0)
    expect(recording.sent.map(named)).not.toContain('a 2')
    const stopped = relay.stop()
    for (const answer of answers) answer()
    await world.clock.advanceUntilSettled(stopped)
  })

  test('counts an answer that was lost once, though it was lost for all that an aggregate had sent', async () => {
    const world = new World()
    const tries: string[] = []
    const broker: Publisher = {
      ...recordingPublisher(),
      publish: async (entries) => {
        tries.push(...entries.map((entry) => `${named(entry)} #${entry.attempt}`))
        return entries.map(() =>
          tries.length <= 3 ? { status: 'unknown', error: new Error('no answer') } : { status: 'published' },
        )
      },
    }
    const { relay, journal } = world.relay(broker, { retry: { maxAttempts: 2 } })
    await world.enqueue('a', 'a', 'a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(tries).toEqual(['a 1 #1', 'a 2 #1', 'a 3 #1', 'a 1 #2', 'a 2 #1', 'a 3 #1'])
    expect(journal.of('retry').map(({ entry }) => named(entry))).toEqual(['a 1'])
    await relay.stop()
  })

  test('publishes within a poll when every wake-up is lost', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const { relay } = world.relay(broker, { store: withoutWakeUps(world) })
    await relay.start()
    await world.clock.advance(60_000)
    await world.enqueue('a')
    await world.clock.advance(1_100)
    expect(broker.published).toHaveLength(1)
    await relay.stop()
  })

  test('tries again as soon as the wait is over, long or short, whatever else happens meanwhile', async () => {
    const world = new World()
    const sentAt = new Map<string, number[]>()
    const broker = recordingPublisher((entry) => {
      sentAt.set(entry.aggregateId, [...(sentAt.get(entry.aggregateId) ?? []), world.clock.monotonic()])
      if (entry.aggregateId === 'fine' || entry.attempt > 1) return undefined
      return { status: 'retry', error: new Error('not now') }
    })
    const waits = new Map<string, number>()
    const { relay, journal } = world.relay(broker, {
      retry: { minDelayMs: 5_000 },
      random: spread(),
      pollIntervalMs: 3_000,
      leaseMs: 15_000,
    })
    await relay.start()
    await world.clock.advance(60_000)
    await world.enqueue('x', 'y', 'z')
    await world.clock.advance(30)
    await world.enqueue('fine')
    await world.clock.advanceUntil(() => world.store.isEmpty)
    for (const { entry, retryInMs } of journal.of('retry')) waits.set(entry.aggregateId, retryInMs)
    expect(new Set(waits.values()).size).toBe(3)
    for (const [aggregateId, wait] of waits) {
      const [first = 0, second = 0] = sentAt.get(aggregateId) ?? []
      expect(second - first, aggregateId).toBeGreaterThanOrEqual(wait)
      expect(second - first, aggregateId).toBeLessThanOrEqual(wait + 20)
    }
    await relay.stop()
  })

  test('sets no timer that is longer than a timer can be, however long the longest wait', async () => {
    const world = new World()
    const longest = 2 ** 31 - 1
    const delays: number[] = []
    const clock: Clock = {
      monotonic: () => world.clock.monotonic(),
      schedule(callback, delayMs) {
        delays.push(delayMs)
        return world.clock.schedule(callback, delayMs)
      },
    }
    const { relay } = world.relay(
      recordingPublisher(() => ({ status: 'retry', error: 'no' })),
      { clock, random: () => 0.999_999, retry: { minDelayMs: longest, maxDelayMs: longest } },
    )
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => relay.stats().retried === 1)
    await relay.stop()
    expect(Math.max(...delays)).toBe(longest)
  })

  test('says what it has published until the store hears it, and publishes nothing twice', async () => {
    const world = new World()
    const broker = recordingPublisher(undefined, { deduplicates: false })
    const { relay, journal, probe } = world.relay(broker)
    await relay.start()
    await world.clock.advance(2_000)
    probe.interfere = (method, proceed) => {
      if (method !== 'settle') return proceed()
      probe.goAway()
      return Promise.reject(storeAway())
    }
    await world.enqueue(...names('a', 20))
    await world.clock.advance(60_000)
    expect(relay.stats()).toMatchObject({ published: 0, isStoreDown: true })
    probe.comeBack()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent).toHaveLength(20)
    expect(relay.stats()).toMatchObject({ published: 20, settlesRefused: 0, isStoreDown: false })
    expect(journal.count('storeDown')).toBe(1)
    expect(journal.count('storeUp')).toBe(1)
    expect(journal.count('error')).toBe(0)
    await relay.stop()
  })

  test('keeps its distance from a store that takes entries out and refuses what became of them', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const { relay, journal, probe } = world.relay(broker)
    probe.interfere = (method, proceed) =>
      method === 'settle' ? Promise.reject(new Error('syntax error in the adapter')) : proceed()
    await world.enqueue('a')
    await relay.start()
    await world.clock.advance(60_000)
    expect(journal.names).toContain('error')
    expect(probe.count('settle')).toBeGreaterThan(20)
    expect(broker.sent.length).toBeLessThan(120)
    probe.comeBack()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    await relay.stop()
  })

  test('is quiet at rest: about one poll a second, and nothing else', async () => {
    const world = new World()
    const { relay, probe } = world.relay(recordingPublisher())
    await relay.start()
    await world.clock.advance(60_000)
    probe.calls.length = 0
    await world.clock.advance(100_000)
    expect(probe.calls.length).toBe(probe.count('poll'))
    expect(probe.count('poll')).toBeGreaterThanOrEqual(90)
    expect(probe.count('poll')).toBeLessThanOrEqual(111)
    await relay.stop()
  })

  test('tells an outage once when it begins and once when it ends', async () => {
    const world = new World()
    const { relay, journal, probe } = world.relay(recordingPublisher())
    await relay.start()
    await world.clock.advance(5_000)
    probe.goAway()
    await world.clock.advance(30_000)
    expect(relay.stats().isStoreDown).toBe(true)
    probe.comeBack()
    await world.clock.advance(10_000)
    expect(journal.names.filter((name) => name.startsWith('store'))).toEqual(['storeDown', 'storeUp'])
    expect(journal.count('error')).toBe(0)
    await relay.stop()
  })

  test('takes a store that does not answer for one that is away', async () => {
    const world = new World()
    const { relay, journal, probe } = world.relay(recordingPublisher())
    await relay.start()
    await world.clock.advance(5_000)
    probe.interfere = () => new Promise(() => undefined)
    await world.clock.advance(7_000)
    expect(journal.count('storeDown')).toBe(1)
    probe.comeBack()
    await world.enqueue('a')
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(journal.count('storeUp')).toBe(1)
    await relay.stop()
  })

  test('tells of a sequence that was committed after a later one had been published, once', async () => {
    const world = new World()
    let [refusesOnce, isRefused] = [false, false]
    const broker = recordingPublisher(() => {
      if (isRefused) return { status: 'reject', error: new Error('never') }
      if (!refusesOnce) return undefined
      refusesOnce = false
      return { status: 'retry', error: new Error('not now') }
    })
    const { relay, journal } = world.relay(broker)
    const commit = (sequence: number): Promise<unknown> =>
      world.store.transaction((tx) =>
        world.store.enqueue(tx, { type: 'account.credited', aggregateId: '7', sequence, payload: {} }),
      )
    await commit(2)
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(journal.count('lateSequence')).toBe(0)
    refusesOnce = true
    await commit(1)
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(relay.stats().retried).toBe(1)
    expect(journal.of('lateSequence').map(({ entry }) => entry.sequence)).toEqual([1])
    isRefused = true
    await commit(0)
    await world.clock.advanceUntil(() => journal.count('dead') === 1)
    expect(journal.of('lateSequence').map(({ entry }) => entry.sequence)).toEqual([1, 0])
    await relay.stop()
  })
})

function withoutWakeUps(world: World): World['store'] {
  const { subscribe: _subscribe, ...rest } = world.store
  return { ...rest, length: 0, isEmpty: true }
}

/** Random numbers that differ from one call to the next. */
function spread(): () => number {
  let calls = 0
  return () => ((calls++ * 7) % 10) / 10
}
