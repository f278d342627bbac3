import { describe, expect, test } from 'vitest'
import { audit, formatAudit, isClean } from '../src/audit.ts'
import type { Delivery } from '../src/brokers/broker.ts'

const committed = [1, 2, 3].map((n) => ({ eventId: `event-${n}`, orderId: 'order-1' }))

function delivery(n: number, from: Partial<Delivery> = {}): Delivery {
  return { id: `event-${n}`, orderId: 'order-1', sequence: n, epoch: 1, relay: 'relay-1', ...from }
}

const killed = new Set(['relay-1'])
const nobody = new Set<string>()

describe('the audit', () => {
  test('is clean when the broker has what was committed, in order', () => {
    const result = audit(
      committed,
      [1, 2, 3].map((n) => delivery(n)),
      nobody,
    )
    expect(isClean(result)).toBe(true)
    expect(formatAudit(result)).toBe(
      'committed 3 · delivered 3 · lost 0 · out of order 0 · leaked from rollbacks 0 · repeats 0 (each explained)',
    )
  })

  test('names what is lost', () => {
    const result = audit(committed, [delivery(1), delivery(3)], nobody)
    expect(result.lost).toEqual(['event-2'])
    expect(isClean(result)).toBe(false)
    expect(formatAudit(result)).toContain('\n  lost: event-2')
  })

  test('names what came out of order', () => {
    const result = audit(committed, [delivery(2), delivery(1), delivery(3)], nobody)
    expect(result.outOfOrder).toEqual(['event-1'])
    expect(isClean(result)).toBe(false)
  })

  test('names what was never committed', () => {
    const result = audit(
      committed,
      [1, 2, 3, 4].map((n) => delivery(n)),
      nobody,
    )
    expect(result.leaked).toEqual(['event-4'])
    expect(isClean(result)).toBe(false)
  })

  test('explains a repeat under a later epoch by the relay that was killed', () => {
    const repeat = delivery(2, { epoch: 2, relay: 'relay-2' })
    const result = audit(committed, [delivery(1), delivery(2), repeat, delivery(3, { epoch: 2 })], killed)
    expect(result).toMatchObject({ repeats: 1, unexplained: [], outOfOrder: [] })
  })

  test('explains the late write of a relay that was interrupted, behind the one of its heir', () => {
    const late = delivery(2)
    const heirs = [1, 2, 3].map((n) => delivery(n, { epoch: 2, relay: 'relay-2' }))
    expect(audit(committed, [...heirs, late], killed)).toMatchObject({ repeats: 1, unexplained: [], outOfOrder: [] })
    expect(audit(committed, [...heirs, late], new Set(['relay-2'])).unexplained).toEqual(['event-2'])
  })

  test.each([
    ['nobody was interrupted', nobody, { epoch: 2, relay: 'relay-2' }],
    ['the epoch is the same', killed, { epoch: 1, relay: 'relay-2' }],
  ])('does not explain a repeat when %s', (_, interrupted, from) => {
    const result = audit(committed, [delivery(1), delivery(2), delivery(2, from), delivery(3)], interrupted)
    expect(result.unexplained).toEqual(['event-2'])
    expect(isClean(result)).toBe(false)
  })
})
