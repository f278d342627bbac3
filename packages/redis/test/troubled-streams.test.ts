import type { PublishOutcome } from '@outbox/core'
import { expect, it } from 'vitest'
import { streamKeys } from '../src/keys.ts'
import { TroubledStreams } from '../src/troubled-streams.ts'

const [a, b] = [streamKeys('a'), streamKeys('b')]
const unknown: PublishOutcome = { status: 'unknown', error: new Error('no answer') }
const published: PublishOutcome = { status: 'published' }

it('streams in trouble are all remembered, whatever becomes of others', () => {
  const troubled = new TroubledStreams()
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
  const troubled = new TroubledStreams()
  troubled.note(a, [{ status: 'retry', error: new Error('WRONGTYPE') }, { status: 'notSent' }])
  expect(troubled.all).toEqual([])
})

it('of very many streams in trouble some are remembered', () => {
  const troubled = new TroubledStreams()
  for (let n = 0; n < 1_000; n++) troubled.note(streamKeys(`stream ${n}`), [unknown])
  expect(troubled.all.length).toBe(16)
})
