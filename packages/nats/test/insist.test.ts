import { type Clock, OutboxError, type PublishOutcome } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { InProcessError } from '../src/answers.ts'
import { insist } from '../src/insist.ts'

const unavailable: PublishOutcome = { status: 'unavailable', error: new Error('nobody took it') }
const unknown: PublishOutcome = { status: 'unknown', error: new Error('nobody answered') }
const inProcess: PublishOutcome = { status: 'unknown', error: new InProcessError('still under way') }
const published: PublishOutcome = { status: 'published' }
const duplicate: PublishOutcome = { status: 'published', duplicate: true }
const fenced: PublishOutcome = { status: 'fenced', epoch: 5 }
const retry: PublishOutcome = { status: 'retry', error: new Error('refused') }

/** Insists on a message that gets these answers; time passes at once. */
async function insistOn(
  answers: readonly PublishOutcome[],
  { isConnected = true, abortInPause = false, isAborted = false } = {},
): Promise<{ readonly outcome: PublishOutcome; readonly sent: number; readonly pausesMs: readonly number[] }> {
  const stop = new AbortController()
  if (isAborted) stop.abort()
  const pausesMs: number[] = []
  let sent = 0
  const clock: Clock = {
    monotonic: () => 0,
    schedule: (callback, delayMs) => {
      pausesMs.push(delayMs)
      queueMicrotask(abortInPause ? () => stop.abort() : callback)
      return () => undefined
    },
  }
  const send = async (): Promise<PublishOutcome> => answers[sent++] ?? unavailable
  const outcome = await insist(send, { clock, ackTimeoutMs: 900, signal: stop.signal, isConnected: () => isConnected })
  return { outcome, sent, pausesMs }
}

describe('a message is sent again', () => {
  it('when nobody took it, until somebody does', async () => {
    expect(await insistOn([unavailable, published])).toEqual({ outcome: published, sent: 2, pausesMs: [50] })
    expect(await insistOn([unavailable, unavailable, retry])).toEqual({ outcome: retry, sent: 3, pausesMs: [50, 250] })
  })

  it('but not where it was forbidden', async () => {
    const error = new OutboxError('setup-required', 'not allowed', { missing: ['permission'] })
    const forbidden: PublishOutcome = { status: 'unavailable', error }
    expect(await insistOn([forbidden, published])).toEqual({ outcome: forbidden, sent: 1, pausesMs: [] })
  })

  it('when nobody took it, three times in all', async () => {
    expect(await insistOn([])).toEqual({ outcome: unavailable, sent: 3, pausesMs: [50, 250] })
  })

  it('once when nobody answered, and what that tells of the message counts', async () => {
    expect(await insistOn([unknown, duplicate])).toMatchObject({ outcome: duplicate, sent: 2 })
    expect(await insistOn([unknown, fenced])).toMatchObject({ outcome: fenced, sent: 2 })
    expect(await insistOn([unavailable, unknown, published])).toMatchObject({ outcome: published, sent: 3 })
  })

  it('once when it is under way already, as long after as one that nobody answered', async () => {
    expect(await insistOn([inProcess, duplicate])).toEqual({ outcome: duplicate, sent: 2, pausesMs: [900] })
    expect(await insistOn([inProcess, inProcess])).toEqual({ outcome: inProcess, sent: 2, pausesMs: [900] })
    expect(await insistOn([inProcess], { abortInPause: true })).toMatchObject({ outcome: inProcess, sent: 1 })
  })

  it.each([unknown, unavailable, retry])('and stays unknown when the second answer is %o', async (second) => {
    expect(await insistOn([unknown, second])).toMatchObject({ outcome: unknown, sent: 2 })
  })

  it.each([published, retry, fenced])('never when the first answer is %o', async (first) => {
    expect(await insistOn([first])).toMatchObject({ outcome: first, sent: 1 })
  })

  it('never without a connection, nor once it was told to stop', async () => {
    for (const first of [unavailable, unknown]) {
      expect(await insistOn([first], { isConnected: false })).toMatchObject({ outcome: first, sent: 1 })
      expect(await insistOn([first], { isAborted: true })).toMatchObject({ outcome: first, sent: 1 })
    }
    expect(await insistOn([unavailable], { abortInPause: true })).toMatchObject({ outcome: unavailable, sent: 1 })
  })
})
