import { describe, expect, test } from 'vitest'
import { type Audit, audit as auditWith, formatAudit, isClean, type Troubles } from '../src/audit.ts'
import type { Delivery } from '../src/brokers/broker.ts'
import type { WrittenChange } from '../src/stores/store.ts'

const committed = [1, 2, 3].map(change)

function change(n: number): WrittenChange {
  return { eventId: `event-${n}`, orderId: 'order-1', revision: n }
}

function delivery(n: number, from: Partial<Delivery> = {}): Delivery {
  const payload = { ...change(n) }
  return { id: `event-${n}`, orderId: 'order-1', sequence: n, epoch: 1, relay: 'relay-1', payload, ...from }
}

/** As the producers would tell of it. */
function audit(written: readonly WrittenChange[], deliveries: readonly Delivery[], troubles: Troubles): Audit {
  const told = { asked: 3, committed: new Set(committed.map(({ eventId }) => eventId)) }
  return auditWith(told, written, deliveries, troubles)
}

const nobody: Troubles = { interrupted: new Set(), unanswered: new Set() }
const killed: Troubles = { ...nobody, interrupted: new Set(['relay-1']) }

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

  test('names what was delivered with the content of another', () => {
    const { payload } = delivery(3)
    const result = audit(committed, [delivery(1), delivery(2, { payload }), delivery(3)], nobody)
    expect(result.altered).toEqual(['event-2'])
    expect(isClean(result)).toBe(false)
    expect(formatAudit(result)).toContain('\n  with the content of another: event-2')
  })

  test('names what was delivered to another order', () => {
    const result = audit(committed, [delivery(1), delivery(2, { orderId: 'order-2' }), delivery(3)], nobody)
    expect(result.altered).toEqual(['event-2'])
  })

  test('goes by the count of the application, whatever sequences the messages claim', () => {
    const claims = [delivery(2, { sequence: 1 }), delivery(1, { sequence: 2 }), delivery(3)]
    expect(audit(committed, claims, nobody).outOfOrder).toEqual(['event-1'])
  })

  test('names commits that never happened, and those that nobody asked for', () => {
    const written = [change(1), change(2), change(4)]
    const result = audit(
      written,
      [1, 2, 4].map((n) => delivery(n)),
      nobody,
    )
    expect(result).toMatchObject({ vanished: ['event-3'], unasked: ['event-4'], lost: [], leaked: [] })
    expect(isClean(result)).toBe(false)
  })

  test('is not clean when the producers committed less than they were asked to', () => {
    const few = committed.slice(0, 2)
    const told = { asked: 3, committed: new Set(['event-1', 'event-2']) }
    const result = auditWith(told, few, [delivery(1), delivery(2)], nobody)
    expect(isClean(result)).toBe(false)
    expect(formatAudit(result)).toContain('committed 2 of 3 ASKED FOR')
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
    expect(audit(committed, [...heirs, late], { ...nobody, interrupted: new Set(['relay-2']) }).unexplained).toEqual([
      'event-2',
    ])
  })

  test('explains a repeat by the broker that was slow to answer, and only of the entries that it was slow with', () => {
    const slow: Troubles = { ...nobody, unanswered: new Set(['event-2']) }
    expect(
      audit(
        committed,
        [1, 2, 2, 3].map((n) => delivery(n)),
        slow,
      ),
    ).toMatchObject({ repeats: 1, unexplained: [] })
    expect(
      audit(
        committed,
        [1, 1, 2, 3].map((n) => delivery(n)),
        slow,
      ).unexplained,
    ).toEqual(['event-1'])
  })

  test.each([
    ['nobody was interrupted', nobody, { epoch: 2, relay: 'relay-2' }],
    ['the epoch is the same', killed, { epoch: 1, relay: 'relay-2' }],
  ])('does not explain a repeat when %s', (_, troubles, from) => {
    const result = audit(committed, [delivery(1), delivery(2), delivery(2, from), delivery(3)], troubles)
    expect(result.unexplained).toEqual(['event-2'])
    expect(isClean(result)).toBe(false)
  })
})
