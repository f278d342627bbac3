import { type Enqueueable, limits } from '@outbox/core'
import { expect } from 'vitest'
import { failure, refused } from '../../failures.ts'
import { inTurn } from '../../in-turn.ts'
import { places } from '../../places.ts'
import type { OutboxTopic } from '../context.ts'
import { order } from '../events.ts'

const circle: Record<string, unknown> = {}
circle['self'] = circle

/** What cannot be written, by the path that the error names. */
const badEvents: readonly (readonly [path: string, event: unknown])[] = [
  ['', undefined],
  ['', 'order.placed'],
  ['type', { aggregateId: 'a', payload: {} }],
  ['type', { ...order('a'), type: 'undotted' }],
  ['type', { ...order('a'), type: `order.${'x'.repeat(255)}` }],
  ['aggregateId', { type: 'order.placed', payload: {} }],
  ['aggregateId', order('')],
  ['aggregateId', order('tab\there')],
  ['aggregateId', order('nul\u0000')],
  ['aggregateId', order('half \ud83d')],
  ['aggregateId', order('ü'.repeat(257))],
  ['aggregateType', { ...order('a'), aggregateType: 'x'.repeat(256) }],
  ['payload', { type: 'order.placed', aggregateId: 'a' }],
  ['payload', order('a', { payload: Promise.resolve() })],
  ['payload', order('a', { payload: 'x'.repeat(limits.payloadBytes) })],
  ['payload.n', order('a', { payload: { n: 1n } })],
  ['payload.list[1]', order('a', { payload: { list: [1, Number.NaN] } })],
  ['payload.self', order('a', { payload: circle })],
  ['id', order('a', { id: 'no-uuid' })],
  ['sequence', { ...order('a'), sequence: -1 }],
  ['sequence', { ...order('a'), sequence: 1.5 }],
  ['sequence', { ...order('a'), sequence: 2 ** 53 }],
  ['occurredAt', order('a', { occurredAt: new Date(Number.NaN) })],
  ['headers["bad name"]', order('a', { headers: { 'bad name': 'x' } })],
  ['headers["nats-x"]', order('a', { headers: { 'nats-x': 'x' } })],
  ['headers["line"]', order('a', { headers: { line: 'a\nb' } })],
  ['headers', order('a', { headers: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`h${n}`, ''])) })],
]

/** An event that cannot be written is refused by path, before anything of its batch is. */
export const badInput: OutboxTopic = {
  name: 'bad input',
  keeps: 'limits',
  checks: [
    {
      id: 'bad-input.named',
      promise:
        'an event that cannot be written is refused with its index and path, and nothing of the batch is written',
      async run({ commit, expectEmpty }) {
        for (const [path, event] of badEvents) {
          // `as`: these are the mistakes of callers without types
          const batch = [order('good'), event as Enqueueable, order('good too')]
          const { details } = await failure('invalid-event', commit(batch))
          expect(details.path, `the event wrong in ${path}`).toBe(path)
          expect(details.index, `the event wrong in ${path}`).toBe(1)
        }
        await expectEmpty()
      },
    },
    {
      id: 'bad-input.no-secrets',
      promise: 'the message of a refusal holds nothing of the payload',
      async run({ commit }) {
        const secret = 'hunter2'
        const error = await failure('invalid-event', commit(order('a', { payload: { secret, n: 1n } })))
        expect(error.message).not.toContain(secret)
        const large = await failure('invalid-event', commit(order('a', { payload: secret.repeat(200_000) })))
        expect(large.message).not.toContain(secret)
        expect(large.details.limit).toBe(limits.payloadBytes)
      },
    },
    {
      id: 'bad-input.transaction-goes-on',
      promise: 'a refused event leaves the transaction as it was: it may go on without it',
      async run({ outbox, transaction }) {
        await transaction((tx) =>
          inTurn(
            () => tx.enqueue(order('before')),
            () => refused('invalid-event', () => tx.enqueue([order('with'), order('')])),
            () => tx.enqueue(order('after')),
          ),
        )
        expect(places(await outbox.fetchUnpublished(10))).toEqual(['before#1', 'after#1'])
      },
    },
  ],
}
