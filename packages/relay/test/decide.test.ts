import { OutboxError, type PublishOutcome } from '@outbox/core'
import { describe, expect, test } from 'vitest'
import { type DecisionContext, decide } from '../src/decide.ts'
import { dueEntry } from './due-entry.ts'

const error = new Error('broken')
const bug = new OutboxError('callback-failed', 'broken', { callback: 'stream of redisPublisher' })
const retry = { maxAttempts: 3, minDelayMs: 100, maxDelayMs: 60_000 }
const settings = { onDead: 'skip', random: () => 0.5 } as const

const there: DecisionContext = { settings, retry, awayForMs: undefined, mustMakeRoom: false, isBehindFailure: false }
const away: DecisionContext = { ...there, awayForMs: 700 }
const awayAmongOthers: DecisionContext = { ...away, mustMakeRoom: true }
const behind: DecisionContext = { ...there, isBehindFailure: true }

type Row = readonly [outcome: PublishOutcome, attempt: number, context: DecisionContext, expected: string]

const table: readonly Row[] = [
  [{ status: 'published' }, 1, there, 'published'],
  [{ status: 'published', duplicate: true }, 3, away, 'published'],
  [{ status: 'notSent' }, 1, there, 'nothing'],
  [{ status: 'notSent' }, 3, awayAmongOthers, 'nothing'],
  [{ status: 'fenced' }, 1, there, 'nothing'],
  [{ status: 'fenced', epoch: 9 }, 3, away, 'nothing'],
  [{ status: 'reject', error }, 1, there, 'dead'],
  [{ status: 'reject', error }, 1, away, 'dead'],
  [{ status: 'retry', error }, 1, there, 'refused, again in 50'],
  [{ status: 'retry', error }, 2, there, 'refused, again in 100'],
  [{ status: 'retry', error }, 3, there, 'dead'],
  [{ status: 'retry', error }, 2, away, 'refused, again in 100'],
  [{ status: 'retry', error }, 2, behind, 'refused, again in 100'],
  [{ status: 'retry', error: bug }, 1, there, 'waits, again in 10000'],
  [{ status: 'retry', error: bug }, 3, there, 'waits, again in 10000'],
  [{ status: 'retry', error: bug }, 3, awayAmongOthers, 'waits, again in 10000'],
  [{ status: 'unknown', error }, 2, there, 'refused, again in 100'],
  [{ status: 'unknown', error }, 3, there, 'dead'],
  [{ status: 'unknown', error }, 3, away, 'waits, again in 700'],
  [{ status: 'unknown', error }, 2, behind, 'nothing'],
  [{ status: 'unknown', error }, 3, { ...away, isBehindFailure: true }, 'nothing'],
  [{ status: 'unknown', error: bug }, 3, there, 'waits, again in 10000'],
  [{ status: 'unknown', error: bug }, 3, away, 'waits, again in 10000'],
  [{ status: 'unknown', error: bug }, 3, behind, 'nothing'],
  [{ status: 'published' }, 1, behind, 'published'],
  [{ status: 'unavailable', error }, 2, there, 'refused, again in 100'],
  [{ status: 'unavailable', error }, 3, there, 'dead'],
  [{ status: 'unavailable', error }, 3, away, 'nothing'],
  [{ status: 'unavailable', error }, 3, awayAmongOthers, 'waits, again in 700'],
]

describe('the state machine of an entry', () => {
  test.each(table)('%j at try %i, %j: %s', (outcome, attempt, context, expected) => {
    const entry = dueEntry({ attempt })
    const settlement = decide(entry, outcome, context)
    if (settlement) expect(settlement.entry).toBe(entry)
    switch (settlement?.outcome) {
      case undefined:
        expect(expected).toBe('nothing')
        break
      case 'published':
        expect(expected).toBe('published')
        break
      case 'dead':
        expect(expected).toBe('dead')
        expect(settlement.reason).toBe('broken')
        break
      case 'retry':
        expect(`${settlement.isRefusal ? 'refused' : 'waits'}, again in ${settlement.retryInMs}`).toBe(expected)
        expect(settlement.reason).toBe('broken')
        break
    }
  })

  test('an outage waits for the next probe, or for the backoff where that is longer', () => {
    const waits = (awayForMs: number): unknown =>
      decide(dueEntry({ attempt: 3 }), { status: 'unknown', error }, { ...away, awayForMs })
    expect(waits(0)).toMatchObject({ retryInMs: 200 })
    expect(waits(199)).toMatchObject({ retryInMs: 200 })
    expect(waits(4_000)).toMatchObject({ retryInMs: 4_000 })
  })

  test('a bug in a callback waits for ten seconds, or for the backoff where that is longer', () => {
    const patient = { ...there, retry: { ...retry, minDelayMs: 60_000 } }
    expect(decide(dueEntry(), { status: 'retry', error: bug }, patient)).toMatchObject({ retryInMs: 30_000 })
  })

  test('a dead letter blocks its aggregate where the policy says so', () => {
    for (const onDead of ['skip', 'block'] as const) {
      const context = { ...there, settings: { ...settings, onDead } }
      const settlement = decide(dueEntry(), { status: 'reject', error }, context)
      expect(settlement).toMatchObject({ outcome: 'dead', blocksAggregate: onDead === 'block' })
    }
  })
})
