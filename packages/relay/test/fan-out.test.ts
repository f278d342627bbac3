import { OutboxError, type Publisher, type PublishOutcome } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { fanOutPublisher } from '../src/fan-out.ts'
import { dueEntry } from './due-entry.ts'
import { named, World } from './world.ts'

const error = new Error('not now')
const gone = new OutboxError('unavailable', 'gone', { system: 'second' })
const signal = AbortSignal.timeout(60_000)

describe('fan-out', () => {
  test('brings every entry to every destination, in order', async () => {
    const world = new World()
    const all = [recordingPublisher(), recordingPublisher(), recordingPublisher()]
    const { relay } = world.relay(fanOutPublisher({ destinations: all }))
    await world.enqueue('a', 'a', 'a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    for (const each of all) expect(each.published.map(named)).toEqual(['a 1', 'a 2', 'a 3'])
    await relay.stop()
  })

  test('brings an entry once to a destination that is named twice', async () => {
    const world = new World()
    const broker = recordingPublisher()
    const { relay } = world.relay(fanOutPublisher({ destinations: [broker, broker] }))
    await world.enqueue('a', 'a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(broker.sent.map(named)).toEqual(['a 1', 'a 2'])
    await relay.stop()
  })

  test('passes over a destination that has the entry while another is tried again; each sees its order', async () => {
    const world = new World()
    const first = recordingPublisher(undefined, { deduplicates: false })
    const second = recordingPublisher(
      ({ attempt, sequence }) => (sequence === 1 && attempt < 3 ? { status: 'retry', error } : undefined),
      { deduplicates: false },
    )
    const { relay } = world.relay(fanOutPublisher({ destinations: [first, second] }))
    await world.enqueue('a', 'a', 'a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(first.sent.map(named)).toEqual(['a 1', 'a 2', 'a 3'])
    expect(second.published.map(named)).toEqual(['a 1', 'a 2', 'a 3'])
    expect(relay.stats()).toMatchObject({ published: 3, retried: 2 })
    await relay.stop()
  })

  test('counts no attempt while a destination is away, whether it can be probed or not', async () => {
    const probe = (): Promise<void> => (isAway ? Promise.reject(gone) : Promise.resolve())
    let isAway = true
    const kinds: readonly (readonly [first: Partial<Publisher>, second: Partial<Publisher>])[] = [
      [{}, {}],
      [{}, { probe }],
      [{ probe: async () => undefined }, {}],
      [{ probe: async () => undefined }, { probe }],
    ]
    for (const [first, second] of kinds) {
      isAway = true
      const world = new World()
      const away = recordingPublisher(() => (isAway ? { status: 'unavailable', error: gone } : undefined))
      const destinations = [
        { ...recordingPublisher(), ...first },
        { ...away, ...second },
      ]
      const { relay } = world.relay(fanOutPublisher({ destinations }), { retry: { maxAttempts: 2 } })
      await world.enqueue('a', 'a')
      await relay.start()
      await world.clock.advance(60_000)
      expect(relay.stats()).toMatchObject({ dead: 0, retried: 0, destinationsDown: ['fan-out'] })
      isAway = false
      await world.clock.advanceUntil(() => world.store.isEmpty, 20_000)
      expect(await world.deadReasons()).toEqual([])
      await relay.stop()
    }
  })

  test.each([true, false])(
    'leaves open what one destination did not answer, beside one that is away, if all can be probed (%s)',
    async (probes) => {
      const error = new Error('gone')
      const probe = async (): Promise<void> => undefined
      const away = { ...recordingPublisher(() => ({ status: 'unavailable', error })), ...(probes && { probe }) }
      const silent = { ...recordingPublisher(() => ({ status: 'unknown', error })), probe }
      const fanOut = fanOutPublisher({ destinations: [away, silent] })
      const [outcome] = await fanOut.publish([dueEntry({})], { signal: new AbortController().signal })
      expect(outcome).toMatchObject({ status: probes ? 'unknown' : 'unavailable' })
    },
  )

  test('makes a dead letter of what one refuses for ever, once the others have it', async () => {
    const world = new World()
    let tries = 0
    const slow = recordingPublisher(() => (++tries < 3 ? { status: 'retry', error } : undefined))
    const refusing = recordingPublisher(() => ({ status: 'reject', error: new Error('never') }))
    const { relay } = world.relay(fanOutPublisher({ destinations: [refusing, slow] }))
    await world.enqueue('a')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(await world.deadReasons()).toEqual(['never'])
    expect(slow.published).toHaveLength(1)
    await relay.stop()
  })

  test('forgets what became a dead letter: it goes out under another id, if at all', async () => {
    const destinations = [recordingPublisher(), recordingPublisher(() => ({ status: 'reject', error }))]
    const whole = fanOutPublisher({ destinations })
    const entry = dueEntry()
    for (const times of [1, 2]) {
      expect(await whole.publish([entry], { signal })).toEqual([{ status: 'reject', error }])
      expect(destinations[0]?.sent).toHaveLength(times)
    }
  })

  test('takes a destination that throws or miscounts for one that failed, not the others', async () => {
    const good = recordingPublisher(undefined, { deduplicates: false })
    const faulty: readonly (readonly [Publisher['publish'], PublishOutcome['status']])[] = [
      [() => Promise.reject(error), 'retry'],
      [
        () => {
          throw error
        },
        'retry',
      ],
      [async () => [], 'unknown'],
    ]
    for (const [publish, status] of faulty) {
      const both = fanOutPublisher({ destinations: [good, { ...good, publish }] })
      expect(await both.publish([dueEntry()], { signal })).toMatchObject([{ status }])
    }
    expect(good.sent).toHaveLength(faulty.length)
  })

  test('is a duplicate only where every destination had it', async () => {
    const old = recordingPublisher()
    await old.publish([dueEntry()], { signal })
    const fresh = recordingPublisher()
    expect(await fanOutPublisher({ destinations: [old, fresh] }).publish([dueEntry()], { signal })).toEqual([
      { status: 'published', duplicate: false },
    ])
    expect(await fanOutPublisher({ destinations: [old, fresh] }).publish([dueEntry()], { signal })).toEqual([
      { status: 'published', duplicate: true },
    ])
  })

  test('promises what all of its destinations promise', () => {
    const large = recordingPublisher(undefined, { maxPayloadBytes: 100 })
    const small = recordingPublisher(undefined, { maxPayloadBytes: 10, deduplicates: false })
    expect(fanOutPublisher({ destinations: [large, small] }).capabilities).toEqual({
      keepsOrderInBatch: true,
      maxPayloadBytes: 10,
    })
    expect(() => fanOutPublisher({ destinations: [] })).toThrow(/name one at least/)
    const { capabilities: _, ...half } = recordingPublisher()
    const options = { destinations: [large, half] } as never // a user of JavaScript
    expect(() => fanOutPublisher(options)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})
