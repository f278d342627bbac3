import type { DueEntry } from '@outbox/core'
import { expect } from 'vitest'
import type { PublisherCheck, PublisherContext, PublisherTopic } from '../context.ts'
import { statuses } from '../context.ts'

/** What a consumer decodes is what was enqueued, byte for byte. */
export const exactness: PublisherTopic = {
  name: 'exactness',
  keeps: 'exactness',
  checks: [
    exactCheck(
      'exactness.envelope',
      'the whole envelope arrives: ids, types, sequence, time, and the epoch of the lease',
      ({ entry }) => [
        entry('a', 7, {
          eventType: 'order.line.added',
          occurredAt: new Date('2024-02-29T23:59:59.999Z'),
          lease: { partition: 3, epoch: 41, holder: 'h' },
          headers: { tenant: 'blue' },
        }),
        entry('b', 0, { aggregateType: 'sales order', occurredAt: new Date('0001-01-01T00:00:00.000Z') }),
        entry('c', Number.MAX_SAFE_INTEGER, { lease: { partition: 4, epoch: 2 ** 40, holder: 'h' } }),
      ],
    ),
    exactCheck(
      'exactness.payloads',
      'the payload arrives as the same JSON text: Unicode, escapes, white space, empty values',
      ({ entry }) =>
        [
          '{}',
          '[]',
          'null',
          '0',
          '""',
          '"Größe 日本 👩‍👩‍👧‍👦 𝄞"',
          '{"nul":"a\\u0000b","half":"\\ud83d"}',
          ' { "a" : 1.0 ,\n\t"a": 1e2, "\\u00e9": "\\/" } ',
          '{"__proto__":{"x":1},"constructor":2}',
          '[1e21,-0.1,9007199254740993,0.30000000000000004]',
          `${'['.repeat(200)}1${']'.repeat(200)}`,
          JSON.stringify('ä😀x'.repeat(20_000)),
        ].map((payload, n) => entry(`a-${n}`, 1, { payload })),
    ),
    exactCheck(
      'exactness.ids',
      'aggregate ids of any printable character arrive, and those that look alike stay apart',
      ({ entry }) =>
        [
          Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n)).join(''),
          'a.b',
          'a b',
          'a*b',
          '*',
          '>',
          '.',
          '..',
          'a.',
          '.a',
          'a',
          'A',
          ' a',
          'a ',
          ' ',
          '%41',
          'a%2Eb',
          '{tag}',
          'x:y',
          'ä',
          'a\u0308',
          '\u00a0',
          '日本語 😀',
          'x'.repeat(512),
          '𝕏'.repeat(128),
        ].map((aggregateId) => entry(aggregateId, 1)),
    ),
    exactCheck('exactness.types', 'odd event and aggregate types arrive', ({ entry }) => [
      entry('a', 1, { eventType: `größe."'\\%.*.>`, aggregateType: "o'type" }),
      entry('b', 1, { aggregateType: 'Großer Typ 😀, mit "Zeichen" > * .' }),
      entry('c', 1, { eventType: `a.${'x'.repeat(253)}`, aggregateType: 'x'.repeat(255) }),
    ]),
    exactCheck(
      'exactness.headers',
      'headers arrive: names in their case, values of any text, 64 of them',
      ({ entry }) => [
        entry('a', 1, { headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } }),
        entry('b', 1, {
          headers: { empty: '', spaces: '  x  ', percent: '100%, %41 %', quotes: `"'\\`, json: '{"a":[1]}' },
        }),
        entry('c', 1, {
          headers: { unicode: '日本 😀 é', CamelCase: 'kept', "!#$%&'*+-.^_`|~9": 'name', id: 'mine', payload: 'mine' },
        }),
        entry('d', 1, { headers: JSON.parse('{"__proto__":"p","constructor":"c"}') }),
        entry('e', 1, { headers: Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`h-${n}`, 'x'.repeat(n)])) }),
      ],
    ),
  ],
}

function exactCheck(
  id: string,
  promise: string,
  entries: (context: PublisherContext) => readonly DueEntry[],
): PublisherCheck {
  return {
    id,
    promise,
    async run(context) {
      const sent = entries(context)
      expect(new Set(statuses(await context.publish(sent)))).toEqual(new Set(['published']))
      const received = await context.received()
      expect(received).toHaveLength(sent.length)
      for (const entry of sent) {
        const message = received.find((each) => each.id === entry.id)
        const what = `${entry.aggregateType.slice(0, 40)} ${entry.aggregateId.slice(0, 40)}`
        if (!message) throw new Error(`${what} has not arrived`)
        const { payload, payloadText, headers, ...envelope } = message
        expect(payloadText === entry.payload, `${what}: payload is ${payloadText.slice(0, 200)}`).toBe(true)
        expect(JSON.stringify(payload), what).toBe(JSON.stringify(JSON.parse(entry.payload)))
        // by pairs: an own property named __proto__ is invisible to an equality of objects
        expect(new Map(Object.entries(headers)), what).toEqual(new Map(Object.entries(entry.headers)))
        expect(envelope, what).toEqual({
          id: entry.id,
          eventType: entry.eventType,
          aggregateType: entry.aggregateType,
          aggregateId: entry.aggregateId,
          sequence: entry.sequence,
          epoch: entry.lease.epoch,
          occurredAt: entry.occurredAt,
        })
      }
    },
  }
}
