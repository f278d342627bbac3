import { expect } from 'vitest'
import { inTurn, whenDone } from '../../in-turn.ts'
import type { InboxContext, InboxTopic } from '../context.ts'

/** Names that some database or some code takes for one another. */
const oddNames: readonly string[] = [
  'a',
  'A',
  ' a',
  'a ',
  'a\u00a0',
  'ä',
  'a\u0308',
  'Ä',
  'æ',
  'ae',
  'ß',
  'ss',
  'SS',
  'ı',
  'i',
  '0',
  '00',
  '1',
  '01',
  '1.0',
  '1e0',
  'true',
  'null',
  'undefined',
  '%',
  '_',
  '*',
  '\\',
  '\\\\',
  "it's",
  'it"s',
  "'; drop table inbox; --",
  '$1 :name ? {0}',
  '{a,b} (1, 2) [x]',
  '日本語',
  '😀',
  '😁',
  '𝕏',
  'x',
  '\u200b',
  '\ufeff',
  'ff',
  'ﬀ',
  '0193a5c2-7d0e-7f00-8000-0123456789ab',
  '0193A5C2-7D0E-7F00-8000-0123456789AB',
  '0193a5c27d0e7f0080000123456789ab',
]

/** Consumer and message are told apart byte for byte, whatever the database's collation. */
export const messageIds: InboxTopic = {
  name: 'message ids',
  keeps: 'inbox',
  checks: [
    {
      id: 'message-ids.apart',
      promise: 'ids that look alike are different messages: case, accents, blanks, Unicode, quotes',
      run: (context) => expectApart(context, (name) => ['billing', name]),
    },
    {
      id: 'message-ids.consumers-apart',
      promise: 'consumers that look alike are different consumers',
      run: (context) => expectApart(context, (name) => [name, 'm-1']),
    },
    {
      id: 'message-ids.pairs-apart',
      promise: 'consumer and id are two names: what one lacks and the other adds makes another message',
      async run({ deliver }) {
        const pairs = [
          ['a', 'bc'],
          ['ab', 'c'],
          ['a b', 'c'],
          ['a', 'b c'],
          ['a:b', 'c'],
          ['a', 'b:c'],
          ['a/b', 'c'],
          ['a', 'b/c'],
          ['c', 'ab'],
        ] as const
        for (const [consumer, messageId] of pairs) expect(await deliver(consumer, messageId)).toBe(true)
        for (const [consumer, messageId] of pairs) expect(await deliver(consumer, messageId)).toBe(false)
      },
    },
    {
      id: 'message-ids.as-long-as-allowed',
      promise: 'names of 255 bytes of UTF-8 are kept whole: those that differ in their last byte are different',
      async run({ deliver }) {
        const longest = ['x'.repeat(255), `${'x'.repeat(254)}y`, `${'ü'.repeat(127)}x`, `${'😀'.repeat(63)}xyz`]
        for (const each of longest) {
          expect(await deliver(each, each), `${each.slice(0, 2)}…`).toBe(true)
          expect(await deliver(each, `${each.slice(0, -1)}-`)).toBe(true)
          expect(await deliver(each, each)).toBe(false)
        }
      },
    },
  ],
}

/** Delivers each twice, all in one transaction and then one by one. */
async function expectApart(
  { transaction, deliver }: InboxContext,
  named: (name: string) => readonly [consumer: string, messageId: string],
): Promise<void> {
  const ran: string[] = []
  await transaction((tx) => {
    const deliveries = oddNames.map(
      (name) => () =>
        whenDone(tx.once(...named(name)), (isFirst) => {
          if (isFirst) ran.push(name)
        }),
    )
    return inTurn(...deliveries, () => undefined)
  })
  expect(ran).toEqual(oddNames)
  for (const name of oddNames) expect(await deliver(...named(name)), JSON.stringify(name)).toBe(false)
}
