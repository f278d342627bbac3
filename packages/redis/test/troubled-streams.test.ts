import type { PublishOutcome } from '@outbox/core'
import { expect, it } from 'vitest'
import { streamKeys } from '../src/keys.ts'
import { TroubledStreams } from '../src/troubled-streams.ts'

const [a, b] = [streamKeys('a'), streamKeys('b')]
const unknown: PublishOutcome = { status: 'unknown', error: new Error('no answer') }
const published: PublishOutcome = { status: 'published' }
const clock = { monotonic: () => 0 }

it('streams in trouble are all remembered, whatever becomes of others', () => {
  const troubled = new TroubledStreams(clock)
  troubled.note(a, [published, unknown])
  troubled.note(b, [published])
  expect(troubled.all).toEqual([a])
  troubled.note(b, [{ status: 'unavailable', error: new Error('away') }])
  expect(troubled.all).toEqual([a, b])
  troubled.note(a, [published])
  expect(troubled.all).toEqual([b])
  troubled.forget([b])
  expect(troubled.all).toEqual([])
})

it('a refusal of one entry is no trouble of the stream', () => {
  const troubled = new TroubledStreams(clock)
  troubled.note(a, [{ status: 'retry', error: new Error('odd') }, { status: 'notSent' }])
  expect(troubled.all).toEqual([])
})

it('of very many streams in trouble some are remembered', () => {
  const troubled = new TroubledStreams(clock)
  for (let n = 0; n < 1_000; n++) troubled.note(streamKeys(`stream ${n}`), [unknown])
  expect(troubled.all.length).toBe(16)
})

it('streams that took entries are remembered when they are in trouble, the latest ones', () => {
  const troubled = new TroubledStreams(clock)
  troubled.note(a, [published])
  troubled.note(b, [published, unknown])
  troubled.note(a, [unknown])
  expect(troubled.taken).toEqual([a, b])
  for (let n = 0; n < 15; n++) troubled.note(streamKeys(`stream ${n}`), [published])
  expect(troubled.taken.length).toBe(16)
  expect(troubled.taken[0]).toEqual(b)
})

it('a trial is due half a minute after the latest trouble', () => {
  let now = 0
  const troubled = new TroubledStreams({ monotonic: () => now })
  troubled.note(a, [unknown])
  now = 20_000
  troubled.note(b, [unknown])
  troubled.note(a, [published])
  now = 49_999
  expect(troubled.isTrialDue).toBe(false)
  now = 50_000
  expect(troubled.isTrialDue).toBe(true)
})
