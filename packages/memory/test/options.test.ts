import { event } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { memoryInbox, memoryOutbox, recordingOutbox, recordingPublisher } from '../src/index.ts'

const outbox = memoryOutbox()

describe('what cannot be meant is refused, with what to write instead:', () => {
  it.each<[string, (...given: never[]) => unknown, given: readonly unknown[], option: string, RegExp]>([
    [
      'a misspelt option of an outbox',
      memoryOutbox,
      [{ onConflit: 'busy' }],
      'onConflit',
      /there are: clock, ids, max/,
    ],
    ['a misspelt source of ids', memoryOutbox, [{ ids: { rnd: () => 1 } }], 'ids.rnd', /there are: now, random/],
    ['a payload of no bytes', memoryOutbox, [{ maxPayloadBytes: 0 }], 'maxPayloadBytes', /whole number from 1 on/],
    ['an unknown way out of conflicts', memoryOutbox, [{ onConflict: 'skip' }], 'onConflict', /'wait' or 'busy'/],
    ['an inbox of nothing', memoryInbox, [], 'outbox', /must be what memoryOutbox\(\) returns/],
    ['an inbox of an outbox itself', memoryInbox, [outbox], 'fetchUnpublished', /there are: outbox/],
    ['an inbox of another store', memoryInbox, [{ outbox: {} }], 'outbox', /must be what memoryOutbox\(\) returns/],
    ['a misspelt option of a double', recordingOutbox, [{ clock: 1 }], 'clock', /there are: now, random/],
    ['options for a script', recordingPublisher, [{ fences: true }], 'script', /must be a function/],
    [
      'a misspelt option of a publisher',
      recordingPublisher,
      [undefined, { fence: true }],
      'fence',
      /deduplicates, fences/,
    ],
    [
      'payloads of NaN bytes',
      recordingPublisher,
      [undefined, { maxPayloadBytes: Number.NaN }],
      'maxPayloadBytes',
      /NaN/,
    ],
  ])('%s', (_, factory, given, option, message) => {
    expect(() => Reflect.apply(factory, undefined, given)).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        details: { option },
        message: expect.stringMatching(message),
      }),
    )
  })
})

it('an option that is undefined is left out', () => {
  const options: object = { clock: undefined, ids: undefined, maxPayloadBytes: undefined, onConflict: undefined }
  expect(() => Reflect.apply(memoryOutbox, undefined, [options])).not.toThrow()
})

it('a clock of ids may be an instance of a class', async () => {
  class Now {
    readonly #ms = Date.parse('2020-01-01')
    now(): number {
      return this.#ms
    }
  }
  const ids = memoryOutbox({ ids: new Now() })
  await ids.transaction((tx) => ids.enqueue(tx, event('order.placed', { aggregateId: 'a', payload: {} })))
  const [entry] = await ids.fetchUnpublished(1)
  expect(entry?.occurredAt).toEqual(new Date('2020-01-01'))
})
