import type { Lease, Publisher } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { names, type TestRelay, World } from './world.ts'

/** A process that dies over the entries named: it says nothing to anybody any more, though its clock goes on. */
class MortalRelay {
  readonly broker: ReturnType<typeof recordingPublisher>
  readonly test: TestRelay
  isDead = false

  constructor(world: World, isDeadly: (aggregateId: string) => boolean, lanes: number) {
    this.broker = recordingPublisher(
      async ({ aggregateId }) => {
        if (isDeadly(aggregateId)) this.die()
        if (this.isDead) await new Promise(() => undefined)
        return undefined
      },
      { deduplicates: false },
    )
    this.test = world.relay(this.broker, { lanes, onDead: 'skip' })
  }

  die(): void {
    this.isDead = true
    this.test.probe.interfere = () => new Promise(() => undefined)
  }
}

/** Starts relays, one after the other's death, until nothing is left to publish. @returns all that lived */
async function superviseUntilEmpty(
  world: World,
  isDeadly: (id: string) => boolean,
  lanes: number,
): Promise<MortalRelay[]> {
  const lives: MortalRelay[] = []
  while (!world.store.isEmpty) {
    if (lives.length === 40) throw new Error('relays die for ever')
    const life = new MortalRelay(world, isDeadly, lanes)
    lives.push(life)
    await life.test.relay.start()
    await world.clock.advanceUntil(() => life.isDead || world.store.isEmpty)
  }
  return lives
}

describe('an entry over which the relay dies', () => {
  test.each([1, 4])('ends as a dead letter, and its 499 neighbours do not (%i lanes)', async (lanes) => {
    const world = new World()
    const neighbours = names('a', 499)
    await world.enqueue(...neighbours.slice(0, 250), 'poison', ...neighbours.slice(250))
    const lives = await superviseUntilEmpty(world, (id) => id === 'poison', lanes)
    expect(await world.deadReasons()).toEqual([expect.stringMatching(/^crash: the relay died 5 times/)])
    expect(lives).toHaveLength(6)
    const published = new Set(lives.flatMap(({ broker }) => broker.published.map(({ aggregateId }) => aggregateId)))
    expect(published).toEqual(new Set(neighbours))
    expect(crashesOf(lives, (id) => id !== 'poison')).toEqual(new Set([0, 1, 2]))
  })

  test.each([1, 4])('makes suspects of few, however many its relay had in hand at first (%i lanes)', async (lanes) => {
    const world = new World()
    const neighbours = names('a', 499)
    await world.enqueue(...neighbours.slice(0, 250), 'poison', ...neighbours.slice(250))
    const lives = await superviseUntilEmpty(world, (id) => id === 'poison', lanes)
    const suspects = lives.flatMap(({ broker }) => broker.sent).filter(({ crashes }) => crashes >= 2)
    // a tenth of a batch for each lane
    const count = new Set(suspects.map(({ id }) => id)).size
    expect(count).toBeLessThanOrEqual(50 * lanes)
    expect(count).toBeGreaterThan(1)
  })

  test('takes no neighbour along when there are several like it', async () => {
    const world = new World()
    const poisons = ['poison-1', 'poison-2', 'poison-3']
    await world.enqueue(...names('a', 60), ...poisons, ...names('b', 60))
    const lives = await superviseUntilEmpty(world, (id) => poisons.includes(id), 4)
    const dead = await world.store.deadLetters.list({ limit: 100 })
    expect(dead.map(({ entry }) => entry.aggregateId).sort()).toEqual(poisons)
    expect(new Set(lives.flatMap(({ broker }) => broker.published.map((entry) => entry.id))).size).toBe(120)
    expect(crashesOf(lives, (id) => !poisons.includes(id))).toEqual(new Set([0, 1, 2]))
  })

  test('goes out with nothing else in the hands of its relay', async () => {
    const world = new World()
    await world.enqueue(...names('a', 100), 'poison')
    const lives = await superviseUntilEmpty(world, (id) => id === 'poison', 4)
    expect(lives.length).toBeGreaterThan(3)
    for (const { test, broker } of lives.slice(2, -1)) {
      // what was sent and not settled when it died: the poison alone
      expect(broker.sent.length - test.relay.stats().published).toBe(1)
    }
  })
})

test('an innocent that a process was killed with is published at the next life, and counts no crash any more', async () => {
  const world = new World()
  await world.enqueue(...names('a', 200))
  const first = new MortalRelay(world, (id) => id === 'a150', 4)
  await first.test.relay.start()
  await world.clock.advanceUntil(() => first.isDead)
  const second = new MortalRelay(world, () => false, 4)
  await second.test.relay.start()
  await world.clock.advanceUntil(() => world.store.isEmpty)
  expect(await world.deadReasons()).toEqual([])
  expect(second.broker.published.map(({ aggregateId }) => aggregateId)).toContain('a150')
  await world.enqueue('a150')
  await world.clock.advanceUntil(() => world.store.isEmpty)
  expect(second.broker.published.at(-1)).toMatchObject({ aggregateId: 'a150', sequence: 2, crashes: 0 })
  await second.test.relay.stop()
})

test('what a relay died with goes out in small batches, also when who took it over gave it back at once', async () => {
  const world = new World()
  await world.enqueue(...names('a', 400))
  const { store } = world
  const takeAll = async (holder: string, dead: readonly string[]): Promise<readonly Lease[]> => {
    await store.join({ holder })
    const { leases, relays } = await store.poll({ holder })
    return store.acquire({ holder, claims: leases, evict: relays.filter((each) => dead.includes(each.holder)) })
  }
  const limits = { limit: 500, limitPerAggregate: 500, maxBytes: 1_000_000 }
  expect(await store.fetch({ leases: await takeAll('first', []), ...limits })).toHaveLength(400)
  const leases = await takeAll('second', ['first'])
  await store.release({ holder: 'second', leases, leave: true })

  const sizes: number[] = []
  const recording = recordingPublisher()
  const broker: Publisher = {
    ...recording,
    publish: async (entries, call) => {
      sizes.push(entries.length)
      return recording.publish(entries, call)
    },
  }
  const { relay } = world.relay(broker, { lanes: 1 })
  await relay.start()
  await world.clock.advanceUntil(() => store.isEmpty)
  expect(Math.max(...sizes)).toBe(50)
  await relay.stop()
})

/** How many deaths the entries named had been in, whenever they were sent: only the first two may be in company. */
function crashesOf(lives: readonly MortalRelay[], isOne: (aggregateId: string) => boolean): ReadonlySet<number> {
  const sent = lives.flatMap(({ broker }) => broker.sent).filter(({ aggregateId }) => isOne(aggregateId))
  return new Set(sent.map(({ crashes }) => crashes))
}
