import { type Enqueueable, entryFromEnvelope, event } from '@outbox/core'
import fc from 'fast-check'
import { claimsOf } from '../claims.ts'
import { noteWritten } from '../open-pairs.ts'
import { answerOf } from '../pair.ts'
import type { Ending } from '../side.ts'
import { expectSame, ownStep } from '../step.ts'

/** Few of everything, so that steps meet each other. */
const uuidOf = (n: number): string => `01940000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
export const uuid = fc.nat({ max: 41 }).map(uuidOf)
/** Types do not share ids: whether a duplicate is looked at for anything but its id is left open. */
const orderId = fc.nat({ max: 20 }).map((n) => uuidOf(2 * n))
const accountId = fc.nat({ max: 20 }).map((n) => uuidOf(2 * n + 1))
const aggregateId = fc.constantFrom('1', '2', '3', 'ä')
const at = new Date('2030-01-01T00:00:00.000Z')

const assigned = fc
  .record({ id: orderId, aggregateId, payload: fc.jsonValue({ maxDepth: 1 }) })
  .map(
    ({ id, ...rest }): Enqueueable =>
      event('order.changed', { ...rest, id, occurredAt: at, payload: rest.payload as null }),
  )
const numbered = fc.record({ id: accountId, aggregateId, sequence: fc.integer({ min: 0, max: 12 }) }).map(
  ({ id, ...rest }): Enqueueable =>
    entryFromEnvelope({
      ...rest,
      eventId: id,
      eventType: 'account.moved',
      aggregateType: 'account',
      occurredAt: at,
      payload: { n: 1 },
    }),
)
/** numbered by the caller, though the store numbers this type; the id is new, for a duplicate's numbers are not looked at */
const mixed = aggregateId.map(
  (aggregate): Enqueueable =>
    event('order.changed', {
      id: crypto.randomUUID(),
      aggregateId: aggregate,
      sequence: 5,
      occurredAt: at,
      payload: {},
    }),
)

export const events: fc.Arbitrary<Enqueueable[]> = fc.array(fc.oneof(assigned, numbered), {
  minLength: 1,
  maxLength: 6,
})

export const ending: fc.Arbitrary<Ending> = fc.constantFrom('commit', 'commit', 'commit', 'roll back')

/** One `enqueue` in a transaction of its own, committed as a rule. */
export const transaction = fc
  .tuple(
    fc.oneof(
      { weight: 6, arbitrary: events },
      { weight: 1, arbitrary: fc.array(mixed, { minLength: 1, maxLength: 1 }) },
    ),
    ending,
  )
  .map(([batch, how]) =>
    ownStep('transact', [how, batch], async ({ model, real, memo }) => {
      const claims = claimsOf(batch).filter(({ names }) => !names.some((name) => memo.spared.names.has(name)))
      if (claims.length === 0) return
      const given = claims.map(({ event }) => event)
      const modelAnswer = await answerOf(model.transact(given, how))
      expectSame('transact', await answerOf(real.transact(given, how)), modelAnswer)
      if (how === 'commit' && 'value' in modelAnswer) noteWritten(memo.written, claims, modelAnswer.value)
    }),
  )
