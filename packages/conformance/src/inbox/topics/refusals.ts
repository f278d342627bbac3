import { limits } from '@outbox/core'
import { expect } from 'vitest'
import { failure, refused } from '../../failures.ts'
import { inTurn } from '../../in-turn.ts'
import type { InboxTopic, InboxTransaction } from '../context.ts'

/** What is neither a consumer nor a message. */
const badNames: readonly unknown[] = [
  undefined,
  null,
  42,
  { id: 'm-1' },
  '',
  'nul\u0000',
  'line\nbreak',
  'half \ud83d',
  'x'.repeat(limits.messageIdBytes + 1),
  `${'ü'.repeat(127)}xx`,
]

/** What cannot work is told before anything is written, and before the handler runs. */
export const refusals: InboxTopic = {
  name: 'refusals',
  keeps: 'inbox',
  checks: [
    {
      id: 'refusals.names',
      promise: 'names that cannot be stored are refused by argument, and the handler does not run',
      async run({ transaction }) {
        let runs = 0
        const handler = (): void => {
          runs += 1
        }
        for (const name of badNames) {
          const consumer = transaction((tx) => tx.onceWith(name, 'm-1', handler))
          expect((await failure('invalid-option', consumer)).details).toEqual({ option: 'consumer' })
          const messageId = transaction((tx) => tx.onceWith('billing', name, handler))
          expect((await failure('invalid-option', messageId)).details).toEqual({ option: 'messageId' })
        }
        expect(runs).toBe(0)
      },
    },
    {
      id: 'refusals.handler',
      promise: 'a handler that is no function is refused, and nothing is marked',
      async run({ transaction, deliver }) {
        for (const handler of [undefined, null, 'handler', Promise.resolve()]) {
          const attempt = transaction((tx) => tx.onceWith('billing', 'm-1', handler))
          expect((await failure('invalid-option', attempt)).details).toEqual({ option: 'handler' })
        }
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'refusals.work-left-undone',
      promise:
        'a handler that gives back work which nobody does is refused: the message is handled when it comes again',
      async run({ transaction, deliver }) {
        const handlers = [() => () => undefined, () => [1, Promise.resolve()], () => (function* () {})()]
        for (const handler of handlers) {
          const attempt = transaction((tx) => tx.onceWith('billing', 'm-1', handler))
          expect((await failure('invalid-option', attempt)).details).toEqual({ option: 'handler' })
        }
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'refusals.asynchronous-handler',
      promise:
        'a handler that returns a promise, or a query that nobody has run, is refused: the message is handled when it comes again',
      insteadOf: 'asynchronousHandlers',
      async run({ transaction, deliver }) {
        // biome-ignore lint/suspicious/noThenProperty: as query builders have them, which await would run
        const query = { then: (done: () => void) => done() }
        for (const handler of [async () => undefined, () => query]) {
          const attempt = transaction((tx) => tx.onceWith('billing', 'm-1', handler))
          expect((await failure('invalid-option', attempt)).details).toEqual({ option: 'handler' })
        }
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'refusals.transaction-goes-on',
      promise: 'a refused delivery leaves the transaction as it was: it may go on without it',
      async run({ transaction, isHandled }) {
        await transaction((tx) =>
          inTurn(
            () => tx.once('billing', 'before'),
            () => refused('invalid-option', () => tx.once('billing', '')),
            () => tx.once('billing', 'after'),
          ),
        )
        expect(await isHandled('billing', 'before')).toBe(true)
        expect(await isHandled('billing', 'after')).toBe(true)
      },
    },
    {
      id: 'refusals.wrong-handle',
      promise: 'what is no transaction at all is refused by name: nothing is marked, and the handler does not run',
      async run({ inbox, onceOn, deliver }) {
        let runs = 0
        const handler = (): void => {
          runs += 1
        }
        for (const handle of [undefined, null, {}, 'tx', inbox]) {
          await failure('not-a-transaction', onceOn(handle, 'billing', 'm-1', handler))
        }
        expect(runs).toBe(0)
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'refusals.finished-handle',
      promise: 'the handle of a committed transaction is refused: nothing is marked, and the handler does not run',
      async run({ transaction, deliver }) {
        let kept: InboxTransaction | undefined
        await transaction((tx) => {
          kept = tx
        })
        const late = onceLate(kept)
        expect((await failure('not-a-transaction', late.ended)).details).toEqual({ reason: 'finished' })
        expect(late.runs).toBe(0)
        expect(await deliver('billing', 'late')).toBe(true)
      },
    },
    {
      id: 'refusals.rolled-back-handle',
      promise: 'the handle of a rolled back transaction is refused: nothing is marked, and the handler does not run',
      async run({ rollBack, deliver }) {
        let kept: InboxTransaction | undefined
        await rollBack((tx) => {
          kept = tx
        })
        const late = onceLate(kept)
        await failure('not-a-transaction', late.ended)
        expect(late.runs).toBe(0)
        expect(await deliver('billing', 'late')).toBe(true)
      },
    },
    {
      id: 'refusals.forgotten-await',
      promise: 'a once that nobody awaits leaves no mark behind a rollback',
      async run({ rollBack, deliver }) {
        let forgotten: Promise<unknown> = Promise.resolve()
        await rollBack((tx) => {
          forgotten = Promise.allSettled([tx.once('billing', 'm-1')])
        })
        await forgotten
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
  ],
}

/** `async`, so that a synchronous driver's error is a rejection too. */
function onceLate(tx: InboxTransaction | undefined): { readonly ended: Promise<boolean>; readonly runs: number } {
  let runs = 0
  const attempt = async (): Promise<boolean> => {
    if (!tx) throw new Error('the transaction callback was not called')
    return tx.once('billing', 'late', () => {
      runs += 1
    })
  }
  return {
    ended: attempt(),
    get runs() {
      return runs
    },
  }
}
