import { type DueEntry, OutboxError, type Publisher } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { recordingPublisher, type ScriptedOutcome } from '@outbox/memory'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SimulatedProcess } from './simulated-process.ts'
import { names, World } from './world.ts'

type Step = readonly [what: 'enqueue' | 'advance' | 'pause' | 'goOn' | 'die' | 'start' | 'stop', how: number]

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('enqueue' as const), fc.integer({ min: 1, max: 20 })) },
  { weight: 6, arbitrary: fc.tuple(fc.constant('advance' as const), fc.integer({ min: 1, max: 15_000 })) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom('pause' as const, 'goOn' as const), fc.nat({ max: 9 })) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom('start' as const, 'stop' as const), fc.nat({ max: 9 })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('die' as const), fc.nat({ max: 9 })) },
)

const maxRelays = 4

/** One run: faults by chance, then none, and what must hold at the end. */
class Run {
  readonly world: World = new World()
  readonly processes: SimulatedProcess[] = []
  readonly dead = new Set<string>()
  /** ids that a relay got no answer for, or lost its lease over */
  readonly unanswered = new Set<string>()
  readonly committed: string[] = []
  readonly #random: () => number
  #isFaulty = true
  readonly broker = recordingPublisher((entry) => this.#outcome(entry), { deduplicates: false })

  constructor(seed: number) {
    this.#random = randomFrom(seed)
  }

  async do([what, how]: Step): Promise<void> {
    const chosen = this.processes[how % Math.max(1, this.processes.length)]
    switch (what) {
      case 'enqueue':
        return this.#enqueue(how)
      case 'advance':
        return this.world.clock.advance(how)
      case 'pause':
        return chosen?.pause()
      case 'goOn':
        return chosen?.goOn()
      case 'die':
        return chosen?.die()
      case 'start':
        return this.start()
      case 'stop':
        if (chosen?.isRunning) void chosen.test.relay.stop() // while the steps go on
    }
  }

  async start(): Promise<void> {
    if (this.processes.filter(({ isDead }) => !isDead).length >= maxRelays) return
    const process = new SimulatedProcess(this.world, this.#watched(), {
      random: this.#random,
      batchSize: 7,
      lanes: 3,
      retry: { maxAttempts: 4, maxDelayMs: 5_000 },
    })
    process.test.relay.on('dead', ({ entry }) => void this.dead.add(entry.id))
    this.processes.push(process)
    await process.test.relay.start()
  }

  /** Faults over: whoever was paused goes on, one relay is sure to be there, and everything must leave. */
  async finish(): Promise<void> {
    this.#isFaulty = false
    for (const process of this.processes) process.goOn()
    const last = new SimulatedProcess(this.world, this.#watched(), { random: this.#random })
    this.processes.push(last)
    await last.test.relay.start()
    await this.world.clock.advanceUntil(() => this.world.store.isEmpty, 300_000)
    await this.world.clock.advance(20_000) // echoes
    const ending = this.processes.filter(({ isDead }) => !isDead).map(({ test }) => test.relay.stop())
    await this.world.clock.advanceUntilSettled(Promise.all(ending))
  }

  async check(): Promise<void> {
    const letters = await this.world.store.deadLetters.list({ limit: 10_000 })
    for (const { reason } of letters) expect(reason).not.toBe('')
    const dead = new Set(letters.map(({ entry }) => entry.id))
    const arrived = new Set(this.broker.published.map(({ id }) => id))
    expect(
      this.committed.filter((id) => !arrived.has(id) && !dead.has(id)),
      'lost',
    ).toEqual([])
    expect(
      [...arrived].filter((id) => !this.committed.includes(id)),
      'never committed',
    ).toEqual([])
    this.#checkOrder(dead)
    this.#checkRepeats()
    for (const { test } of this.processes) expect(test.journal.of('error')).toEqual([])
  }

  /** First deliveries ascend per aggregate; a dead letter stands outside the order. */
  #checkOrder(dead: ReadonlySet<string>): void {
    const highest = new Map<string, number>()
    const seen = new Set<string>()
    for (const entry of this.broker.published) {
      if (seen.has(entry.id) || dead.has(entry.id)) continue
      seen.add(entry.id)
      const key = aggregateKey(entry)
      expect(entry.sequence, `first delivery of ${entry.aggregateId}`).toBeGreaterThan(highest.get(key) ?? 0)
      highest.set(key, entry.sequence)
    }
  }

  /** A repeat has its cause: no answer, or another lease than the last time. */
  #checkRepeats(): void {
    const last = new Map<string, DueEntry>()
    for (const entry of this.broker.published) {
      const before = last.get(entry.id)
      last.set(entry.id, entry)
      if (!before || this.unanswered.has(entry.id)) continue
      expect(entry.lease, `a repeat of ${entry.aggregateId} ${entry.sequence}`).not.toEqual(before.lease)
    }
  }

  async #enqueue(count: number): Promise<void> {
    const ids = names('a', 12).filter(() => this.#random() < count / 20)
    const receipts = await this.world.store.transaction((tx) =>
      this.world.store.enqueue(
        tx,
        ids.map((aggregateId) => ({ type: 'order.placed', aggregateId, payload: {} })),
      ),
    )
    this.committed.push(...receipts.map(({ id }) => id))
  }

  /** The broker, seen by one relay: what it gave up waiting for is unanswered. */
  #watched(): Publisher {
    return {
      ...this.broker,
      publish: (entries, options) => {
        const giveUp = (): void => {
          for (const { id } of entries) this.unanswered.add(id)
        }
        if (options.signal.aborted)
          giveUp() // while the process stood still
        else options.signal.addEventListener('abort', giveUp)
        // half of the time the bytes are in the socket already: they arrive, however late
        return this.broker.publish(entries, this.#random() < 0.5 ? options : { signal: new AbortController().signal })
      },
    }
  }

  async #outcome({ id }: DueEntry): Promise<ScriptedOutcome> {
    if (!this.#isFaulty) return undefined
    const chance = this.#random()
    const error = new Error('by chance')
    if (chance < 0.05) await new Promise<void>((resolve) => this.world.clock.schedule(resolve, chance * 150_000))
    else if (chance < 0.15) return { status: 'retry', error }
    else if (chance < 0.18) return { status: 'reject', error }
    else if (chance < 0.2)
      return { status: 'unavailable', error: new OutboxError('unavailable', 'gone', { system: 'it' }) }
    else if (chance < 0.25) {
      this.unanswered.add(id)
      return chance < 0.22 ? { status: 'unknown', error } : { status: 'unknown', error, arrived: true }
    }
    return undefined
  }
}

test('whatever happens to relays and broker: nothing is lost, order holds, and every repeat has its cause', async () => {
  let published = 0
  let repeated = 0
  let dead = 0
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 10, maxLength: 40 }), async (seed, steps) => {
      const run = new Run(seed)
      await run.start()
      for (const each of steps) await run.do(each)
      await run.finish()
      await run.check()
      published += run.broker.published.length
      repeated += run.broker.published.length - new Set(run.broker.published.map(({ id }) => id)).size
      dead += run.dead.size
    }),
    { numRuns: 200 },
  )
  // the runs were worth something
  expect(Math.min(published / 1_000, repeated / 100, dead / 100)).toBeGreaterThan(1)
})

/** Numbers from 0 to below 1 that depend on the seed alone (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
