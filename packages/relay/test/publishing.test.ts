import { type DueEntry, OutboxError, type Publisher, type PublishOutcome } from '@outbox/core'
import { describe, expect, test } from 'vitest'
import { Destinations } from '../src/destinations.ts'
import { Emitter } from '../src/events.ts'
import { settingsFrom } from '../src/options.ts'
import { type Attempt, Publishing } from '../src/publishing.ts'
import { routePublisher } from '../src/route.ts'
import { dueEntry } from './due-entry.ts'
import { Journal } from './journal.ts'
import { ManualClock } from './manual-clock.ts'
import { named, World } from './world.ts'

type Answer = (entries: readonly DueEntry[], signal: AbortSignal) => unknown

/** A publisher that answers whatever the test likes, also what the contract forbids, and keeps what it was given. */
class Scripted {
  readonly batches: string[][] = []
  readonly publisher: Publisher

  constructor(
    answer: Answer = (entries) => entries.map(() => ({ status: 'published' })),
    capabilities: Partial<Publisher['capabilities']> = {},
    name = 'scripted',
  ) {
    const publish = async (entries: readonly DueEntry[], { signal }: { readonly signal: AbortSignal }) => {
      this.batches.push(entries.map(named))
      return answer(entries, signal) as Promise<readonly PublishOutcome[]> // what a faulty publisher's types would claim
    }
    this.publisher = { name, capabilities: { keepsOrderInBatch: true, ...capabilities }, publish }
  }
}

class Bench {
  readonly clock: ManualClock = new ManualClock()
  readonly journal: Journal = new Journal()
  readonly abort: AbortController = new AbortController()
  readonly publishing: Publishing

  constructor(publisher: Publisher) {
    const { store } = new World()
    const settings = settingsFrom({ store, publisher, clock: this.clock, random: () => 0.5 })
    const events = new Emitter(this.journal.on)
    const context = {
      settings,
      events,
      abort: this.abort.signal,
      over: new AbortController().signal,
      onClose: () => undefined,
    }
    this.publishing = new Publishing({ ...context, destinations: new Destinations(publisher, context) })
  }

  async publish(entries: readonly DueEntry[], mayStart: () => boolean = () => true): Promise<readonly string[]> {
    return (await this.attempts(entries, mayStart)).map(statusOf)
  }

  attempts(entries: readonly DueEntry[], mayStart: () => boolean = () => true): Promise<readonly Attempt[]> {
    return this.clock.advanceUntilSettled(this.publishing.publish(entries, mayStart, this.abort.signal))
  }
}

const entry = (aggregateId: string, sequence: number, given: Partial<DueEntry> = {}): DueEntry =>
  dueEntry({ aggregateId, sequence, ...given })
const batch = [entry('a', 1), entry('a', 2), entry('b', 1)]

describe('a batch', () => {
  test('goes to one destination in one call, in the order given', async () => {
    const broker = new Scripted()
    const bench = new Bench(broker.publisher)
    expect(await bench.publish(batch)).toEqual(['published', 'published', 'published'])
    expect(broker.batches).toEqual([['a 1', 'a 2', 'b 1']])
    expect(bench.clock.pending).toBe(0)
    await bench.publish([entry('a', 1), entry('b', 1), entry('a', 2)])
    expect(broker.batches[1]).toEqual(['a 1', 'b 1', 'a 2'])
  })

  test('goes one entry per aggregate at a time where the publisher keeps no order', async () => {
    const broker = new Scripted(undefined, { keepsOrderInBatch: false })
    await new Bench(broker.publisher).publish([...batch, entry('a', 3)])
    expect(broker.batches).toEqual([['a 1', 'b 1'], ['a 2'], ['a 3']])
  })

  test('goes no further in an aggregate than its first failure', async () => {
    const fail = (entries: readonly DueEntry[]) =>
      entries.map(({ aggregateId }) => (aggregateId === 'a' ? { status: 'retry', error: 1 } : { status: 'published' }))
    const broker = new Scripted(fail, { keepsOrderInBatch: false })
    const statuses = await new Bench(broker.publisher).publish([...batch, entry('b', 2)])
    expect(statuses).toEqual(['retry', 'notSent', 'published', 'published'])
    expect(broker.batches).toEqual([['a 1', 'b 1'], ['b 2']])
  })

  test('goes no further once the lease may not last, or the relay ends', async () => {
    const broker = new Scripted(undefined, { keepsOrderInBatch: false })
    let waves = 0
    expect(await new Bench(broker.publisher).publish(batch, () => ++waves < 2)).toEqual([
      'published',
      'notSent',
      'published',
    ])
    const ending = new Bench(broker.publisher)
    ending.abort.abort()
    expect(await ending.publish(batch)).toEqual(['notSent', 'notSent', 'notSent'])
    expect(broker.batches).toHaveLength(1)
  })

  test('keeps the order of an aggregate across destinations', async () => {
    const log: string[] = []
    const to = (name: string): Publisher =>
      new Scripted(
        (entries) => {
          log.push(`${name}: ${entries.map(named).join(', ')}`)
          return entries.map(() => ({ status: 'published' }))
        },
        {},
        name,
      ).publisher
    const route = (due: DueEntry): 'odd' | 'even' => (due.sequence % 2 === 1 ? 'odd' : 'even')
    const publisher = routePublisher({ route, destinations: { odd: to('odd'), even: to('even') } })
    await new Bench(publisher).publish([entry('a', 1), entry('a', 3), entry('a', 4), entry('b', 2), entry('b', 3)])
    expect(log).toEqual(['odd: a 1, a 3', 'even: b 2', 'odd: b 3', 'even: a 4'])
  })
})

describe('a payload that is too large', () => {
  test('is rejected without being sent, with both sizes, in bytes; what stands before it is sent', async () => {
    const broker = new Scripted(undefined, { maxPayloadBytes: 10 })
    const bench = new Bench(broker.publisher)
    const large = entry('a', 2, { payload: JSON.stringify('ééééé') })
    const published = bench.publishing.publish([entry('a', 1), large, entry('a', 3)], () => true, bench.abort.signal)
    const attempts = await bench.clock.advanceUntilSettled(published)
    expect(attempts.map(statusOf)).toEqual(['published', 'reject', 'notSent'])
    expect(attempts[1]?.outcome).toMatchObject({
      error: { message: "The payload is 12 bytes; 'scripted' takes 10 at most." },
    })
    expect(broker.batches).toEqual([['a 1']])
  })

  test('that cannot be measured is nobody’s refusal: the batch fails, and no entry is blamed', async () => {
    const broken: object = { payload: undefined } // a store's defect
    const bench = new Bench(new Scripted(undefined, { maxPayloadBytes: 10 }).publisher)
    await expect(bench.publish([Object.assign(entry('a', 1), broken)])).rejects.toThrow(TypeError)
  })
})

describe('a publisher that breaks its contract', () => {
  const wrong: readonly (readonly [string, Answer, RegExp])[] = [
    ['gives too few outcomes', () => [{ status: 'published' }], /1 outcomes for 3 entries/],
    ['gives too many outcomes', () => Array(4).fill({ status: 'published' }), /4 outcomes for 3 entries/],
    ['gives nothing', () => undefined, /0 outcomes for 3 entries/],
    ['gives a status that does not exist', (all) => all.map(() => ({ status: 'ok' })), /without a status that exists/],
    ['gives a hole', () => Array(3).fill(undefined), /without a status that exists/],
    [
      'gives an epoch that is none',
      (all) => all.map(() => ({ status: 'fenced', epoch: Number.NaN })),
      /an epoch that is/,
    ],
    ['leaves an outcome out', (all) => Object.assign([], { 0: { status: 'published' }, length: all.length }), /status/],
  ]
  test.each(wrong)(
    '%s: its own bug, for which no entry is to blame; what was sent is unknown',
    async (_, answer, message) => {
      const bench = new Bench(new Scripted(answer).publisher)
      const attempts = await bench.attempts(batch)
      expect(attempts.map(statusOf)).toEqual(['unknown', 'unknown', 'unknown'])
      expect(attempts[2]?.outcome).toMatchObject({
        error: {
          code: 'callback-failed',
          details: { callback: "publish of 'scripted'" },
          message: expect.stringMatching(message),
        },
      })
    },
  )

  test('throws: an error event, and all are tried again', async () => {
    const bug = new Error('a bug')
    const bench = new Bench(new Scripted(() => Promise.reject(bug)).publisher)
    expect(await bench.publish(batch)).toEqual(['retry', 'notSent', 'retry'])
    expect(bench.journal.of('error')).toEqual([{ during: "publishing to 'scripted'", error: bug }])
  })

  test('throws at once, not in its promise: the same', async () => {
    const { publisher } = new Scripted()
    const faulty: Publisher = {
      ...publisher,
      publish: () => {
        throw new Error('a bug')
      },
    }
    const bench = new Bench(faulty)
    expect(await bench.publish(batch)).toEqual(['retry', 'notSent', 'retry'])
    expect(bench.journal.count('error')).toBe(1)
    expect(bench.clock.pending).toBe(0)
  })

  test('sends on after a failure: a later entry that it says is published counts as such', async () => {
    const answer = (): unknown => [
      { status: 'retry', error: 1 },
      { status: 'published' },
      { status: 'retry', error: 1 },
    ]
    expect(await new Bench(new Scripted(answer).publisher).publish(batch)).toEqual(['retry', 'published', 'retry'])
  })

  test('sends on after a failure: what got no answer stays unknown, as it may have arrived', async () => {
    const answer = (): unknown => [
      { status: 'retry', error: 1 },
      { status: 'unknown', error: 2 },
      { status: 'unknown', error: 3 },
    ]
    const attempts = await new Bench(new Scripted(answer).publisher).attempts(batch)
    expect(attempts.map(statusOf)).toEqual(['retry', 'unknown', 'unknown'])
    expect(attempts.map(({ isBehindFailure }) => isBehindFailure)).toEqual([false, true, false])
  })

  test('ignores its signal: nothing is known of the batch, a second after its time is up', async () => {
    const bench = new Bench(new Scripted(() => new Promise(() => undefined)).publisher)
    expect(await bench.publish(batch)).toEqual(['unknown', 'unknown', 'unknown'])
    expect(bench.clock.monotonic()).toBe(6_000)
    expect(bench.clock.pending).toBe(0)
  })

  test('answers after its answer was no longer waited for: that is dropped, and nothing is left unhandled', async () => {
    const answers = [() => Promise.resolve([]), () => Promise.reject(new Error('late'))]
    for (const late of answers) {
      const bench = new Bench(
        new Scripted(async () => {
          await new Promise<void>((resolve) => bench.clock.schedule(resolve, 7_000))
          return late()
        }).publisher,
      )
      expect(await bench.publish(batch)).toEqual(['unknown', 'unknown', 'unknown'])
      await bench.clock.advance(10_000)
      expect(bench.journal.names).toEqual([])
    }
  })
})

describe('a publisher that is told to stop', () => {
  test('and rejects with that, has left everything unknown: it may have been sent', async () => {
    const rejects: Answer = (_entries, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const bench = new Bench(new Scripted(rejects).publisher)
    expect(await bench.publish(batch)).toEqual(['unknown', 'unknown', 'unknown'])
    expect(bench.clock.monotonic()).toBe(5_000)
    expect(bench.journal.names).toEqual([])
  })

  test('and answers in time, is believed', async () => {
    const answers: Answer = (entries, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(entries.map(() => ({ status: 'published' }))))
      })
    expect(await new Bench(new Scripted(answers).publisher).publish(batch)).toEqual([
      'published',
      'published',
      'published',
    ])
  })
})

test('a destination that is away as a whole is no defect: no error event, and nobody is refused', async () => {
  const error = new OutboxError('unavailable', 'gone', { system: 'broker' })
  const bench = new Bench(new Scripted(() => Promise.reject(error)).publisher)
  expect(await bench.publish(batch)).toEqual(['unavailable', 'notSent', 'unavailable'])
  expect(bench.journal.names).toEqual([])
})

function statusOf({ outcome }: Attempt): string {
  return outcome.status
}
