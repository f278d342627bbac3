import type { DomainEvent, EntryContent, OutboxEntry } from '@outbox/core'
import { expect } from 'vitest'
import type { OutboxCheck, OutboxContext, OutboxTopic } from '../context.ts'
import { account, order } from '../events.ts'

/** What goes in comes out, to the last bit. */
export const exactness: OutboxTopic = {
  name: 'exactness',
  keeps: 'exactness',
  checks: [
    payloadCheck('exactness.text', 'Unicode text in payloads is unchanged, quotes, backslashes and controls included', [
      'Größe',
      '日本語',
      '👩‍👩‍👧‍👦 𝄞',
      'e\u0301 is not \u00e9',
      '\u200b\ufeff\u2028\u2029',
      `' " \\ / \` $1 $$ :name ? %s {} -- ; /* */`,
      '\\u0041 \\n \\',
      '\u0001\u001f\u007f\u0085\n\r\t\b\f',
      ' leading and trailing ',
      '',
    ]),
    payloadCheck('exactness.nul', 'U+0000 within a payload is unchanged', ['a\u0000b', { 'k\u0000': '\u0000' }]),
    payloadCheck('exactness.lone-surrogate', 'half of a surrogate pair travels as its escape', ['\ud83d', 'a\udc00b']),
    payloadCheck('exactness.numbers', 'numbers at the edges are unchanged', [
      0,
      -0.1,
      0.1 + 0.2,
      1e21,
      1e-7,
      Number.MAX_SAFE_INTEGER,
      Number.MIN_VALUE,
      Number.MAX_VALUE,
      -123456789.12345679,
    ]),
    payloadCheck('exactness.shapes', 'empty and odd values are unchanged, the order of keys too', [
      null,
      true,
      {},
      [],
      [[], {}, null, ''],
      { b: 1, a: 2, 10: 3, 9: 4, __proto__x: 5 },
      JSON.parse('{"__proto__":{"constructor":1},"":2,"a b":3}'),
      { 'key with "quotes"': { 'and.dots': ['x'] } },
    ]),
    {
      id: 'exactness.deep-payload',
      promise: 'a payload nested 200 deep is unchanged',
      async run(context) {
        let payload: unknown = 'bottom'
        for (let depth = 0; depth < 199; depth++) payload = depth % 2 === 0 ? [payload] : { in: payload }
        await expectUnchanged(context, [order('a', { payload })])
      },
    },
    {
      id: 'exactness.large-payload',
      promise: 'a payload of a megabyte is unchanged',
      async run(context) {
        const payload = Array.from({ length: 16_000 }, (_, n) => `ä"\\${n} 😀 ${'x'.repeat(n % 50)}`)
        await expectUnchanged(context, [order('a', { payload })])
      },
    },
    {
      id: 'exactness.white-space',
      promise: 'the JSON text of an entry is kept as it is, spaces, escapes and repeated keys too',
      async run({ commit, readings }) {
        const payloads = [' { "a" : 1.0 ,\n\t"a": 1e2, "\\u00e9": "\\/" } ', '\r\n[1 ,"\\u001f"]\t', '"\\\\"']
        const entries = payloads.map(
          (payload, index): OutboxEntry => ({
            id: crypto.randomUUID(),
            eventType: 'account.credited',
            aggregateType: 'account',
            aggregateId: 'a',
            sequence: index + 1,
            occurredAt: new Date(),
            payload,
            headers: {},
            partition: 0,
            published: false,
            publishedAt: null,
          }),
        )
        // the first of a type may be written in a way of its own
        for (const batch of [entries.slice(0, 1), entries.slice(1)]) await commit(batch)
        for (const { way, entries: read } of await readings()) {
          expect(
            read.map(({ payload }) => payload),
            way,
          ).toEqual(payloads)
        }
      },
    },
    {
      id: 'exactness.dates',
      promise: 'occurredAt is unchanged to the millisecond, from the year 1 to 9999, whatever the time zone',
      async run(context) {
        const dates = [
          '0001-01-01T00:00:00.000Z',
          '1582-10-10T12:00:00.001Z',
          '1969-12-31T23:59:59.999Z',
          '1970-01-01T00:00:00.000Z',
          '2024-02-29T23:59:59.999Z',
          '2025-03-30T01:30:00.123Z',
          '2038-01-19T03:14:08.007Z',
          '9999-12-31T23:59:59.999Z',
        ]
        await expectUnchanged(
          context,
          dates.map((date, n) => order(`a-${n}`, { occurredAt: new Date(date) })),
        )
      },
    },
    {
      id: 'exactness.ids',
      promise: 'aggregate ids hold any printable character, and those that look alike stay apart',
      async run(context) {
        const printable = Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n)).join('')
        const ids = [
          printable,
          `it's "quoted" \\ %_ 100%`,
          `'; drop table outbox; --`,
          '{a,b} (1, 2) [x] <y> $1 ?',
          ' ',
          ' a',
          'a ',
          'a',
          'A',
          'ä',
          'a\u0308',
          'null',
          '0',
          '-1e5',
          '\u00a0',
          '😀',
          '𝕏'.repeat(128),
          'x'.repeat(512),
        ]
        await expectUnchanged(
          context,
          ids.map((id) => order(id)),
        )
      },
    },
    {
      id: 'exactness.types',
      promise: 'event and aggregate types hold quotes, blanks and Unicode, up to 255 bytes',
      async run(context) {
        await expectUnchanged(context, [
          { ...order('a'), type: `${'ö'.repeat(100)}."'\\%.${'x'.repeat(49)}`, aggregateType: "o'type" },
          { ...order('a'), aggregateType: 'Großer Typ 😀, mit "Zeichen"' },
          { ...order('a'), aggregateType: 'x'.repeat(255) },
        ])
      },
    },
    {
      id: 'exactness.headers',
      promise: 'headers are unchanged: names in their case, values of any text, 64 of them',
      async run(context) {
        const many = Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`h-${n}`, 'x'.repeat(n)]))
        await expectUnchanged(context, [
          order('a', { headers: { Traceparent: '00-ab-cd-01', traceparent: 'other case', '!#$%&*+-.^_`|~9': 'name' } }),
          order('b', {
            headers: { empty: '', spaces: '  x  ', quotes: `"'\\`, unicode: '日本 😀 é', json: '{"a":[1]}' },
          }),
          order('c', { headers: JSON.parse('{"__proto__":"p","constructor":"c","toString":"t"}') }),
          order('d', { headers: many }),
          order('e', { headers: {} }),
        ])
      },
    },
    {
      id: 'exactness.big-sequences',
      promise: 'sequences are exact up to 2^53 - 1',
      async run(context) {
        const last = Number.MAX_SAFE_INTEGER
        await expectUnchanged(
          context,
          [last - 2, last - 1, last].map((sequence) => account('a', sequence)),
        )
      },
    },
    {
      id: 'exactness.own-copy',
      promise: 'what the caller changes after enqueue changes nothing in the outbox',
      async run({ outbox, commit }) {
        const occurredAt = new Date('2025-01-01T00:00:00.000Z')
        const payload = { lines: [1] }
        await commit(order('a', { occurredAt, payload }))
        occurredAt.setFullYear(1999)
        payload.lines.push(2)
        const [entry] = await outbox.fetchUnpublished(1)
        expect(entry?.occurredAt.toISOString()).toBe('2025-01-01T00:00:00.000Z')
        expect(entry?.payload).toBe('{"lines":[1]}')
      },
    },
  ],
}

function payloadCheck(id: string, promise: string, payloads: readonly unknown[]): OutboxCheck {
  return {
    id,
    promise,
    run: (context) =>
      expectUnchanged(
        context,
        payloads.map((payload, n) => order(`a-${n}`, { payload })),
      ),
  }
}

/** Enqueues events and compares what comes out, in every way in which it does. */
async function expectUnchanged({ commit, readings }: OutboxContext, events: readonly DomainEvent[]): Promise<void> {
  const receipts = await commit(events)
  const expected = new Map(events.map((given, index) => [receipts[index]?.id, given]))
  for (const { way, entries } of await readings()) {
    expect(entries, way).toHaveLength(events.length)
    for (const entry of entries) {
      const given = expected.get(entry.id)
      if (!given) throw new Error(`${way}: an entry that nobody enqueued: ${entry.id}`)
      expectSame(entry, given, `${way}, ${entry.aggregateId.slice(0, 40)}`)
    }
  }
}

function expectSame(entry: EntryContent, given: DomainEvent, way: string): void {
  // compared outside of expect: its diff of two megabytes takes minutes
  const text = JSON.stringify(given.payload)
  if (entry.payload !== text) {
    expect(entry.payload.slice(0, 500), way).toBe(text.slice(0, 500))
    expect(entry.payload.length, way).toBe(text.length)
    throw new Error(`${way}: the payload differs after its first 500 characters`)
  }
  expect(entry.aggregateId, way).toBe(given.aggregateId)
  expect(entry.eventType, way).toBe(given.type)
  expect(entry.aggregateType, way).toBe(given.aggregateType ?? given.type.slice(0, given.type.indexOf('.')))
  if (given.sequence !== undefined) expect(entry.sequence, way).toBe(given.sequence)
  if (given.occurredAt) expect(entry.occurredAt.getTime(), way).toBe(given.occurredAt.getTime())
  // by pairs: an own property named __proto__ is invisible to an equality of objects
  expect(new Map(Object.entries(entry.headers)), way).toEqual(new Map(Object.entries(given.headers ?? {})))
}
