import { expect } from 'vitest'
import { abandonedSavepoint } from '../../abandoned-savepoint.ts'
import { inTurn, whenDone } from '../../in-turn.ts'
import type { InboxTopic } from '../context.ts'

/** A message is applied once: the mark and the effect commit and roll back together. */
export const once: InboxTopic = {
  name: 'once',
  keeps: 'inbox',
  checks: [
    {
      id: 'once.runs-the-handler',
      promise: 'the first delivery of a message runs the handler and says so, the next ones do neither',
      async run({ deliver }) {
        let runs = 0
        const handler = (): void => {
          runs += 1
        }
        expect(await deliver('billing', 'm-1', handler)).toBe(true)
        expect(runs).toBe(1)
        expect(await deliver('billing', 'm-1', handler)).toBe(false)
        expect(await deliver('billing', 'm-1', handler)).toBe(false)
        expect(runs).toBe(1)
      },
    },
    {
      id: 'once.in-every-process',
      promise: 'what one process has handled no other handles again',
      async run({ deliver, peer }) {
        const other = await peer()
        expect(await deliver('billing', 'm-1')).toBe(true)
        expect(await other.deliver('billing', 'm-1')).toBe(false)
        expect(await other.deliver('billing', 'm-2')).toBe(true)
        expect(await deliver('billing', 'm-2')).toBe(false)
      },
    },
    {
      id: 'once.rollback',
      promise: 'a delivery that is rolled back marks nothing: the next one runs the handler',
      async run({ deliver, rollBack, peer }) {
        let runs = 0
        await rollBack((tx) =>
          tx.once('billing', 'm-1', () => {
            runs += 1
          }),
        )
        expect(runs).toBe(1)
        expect(await (await peer()).isHandled('billing', 'm-1')).toBe(false)
        expect(await deliver('billing', 'm-1')).toBe(true)
        expect(await deliver('billing', 'm-1')).toBe(false)
      },
    },
    {
      id: 'once.handler-throws',
      promise: 'what the handler throws comes out of once, and the next delivery runs the handler',
      async run({ deliver }) {
        const error = new Error('the handler failed')
        const failed = deliver('billing', 'm-1', () => {
          throw error
        })
        await expect(failed).rejects.toBe(error)
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'once.handler-throws-late',
      promise: 'what the handler threw after its first statements takes these with it',
      async run({ deliver, isHandled, transaction }) {
        const error = new Error('the handler failed')
        const failed = transaction((tx) =>
          tx.once('billing', 'm-1', () =>
            inTurn(
              () => tx.once('effects', 'invoice 1'),
              () => {
                throw error
              },
            ),
          ),
        )
        await expect(failed).rejects.toBe(error)
        expect(await isHandled('effects', 'invoice 1')).toBe(false)
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'once.effect-and-mark-roll-back',
      promise: 'a rollback after once takes the effect of the handler and the mark, both',
      async run({ isHandled, rollBack }) {
        await rollBack((tx) => tx.once('billing', 'm-1', () => tx.once('effects', 'invoice 1')))
        expect(await isHandled('billing', 'm-1')).toBe(false)
        expect(await isHandled('effects', 'invoice 1')).toBe(false)
      },
    },
    {
      id: 'once.effect-and-mark-commit',
      promise: 'the effect of the handler and the mark are seen together, once the transaction has committed',
      async run({ transaction, peer }) {
        const ran = await transaction((tx) => tx.once('billing', 'm-1', () => tx.once('effects', 'invoice 1')))
        expect(ran).toBe(true)
        const other = await peer()
        expect(await other.isHandled('billing', 'm-1')).toBe(true)
        expect(await other.isHandled('effects', 'invoice 1')).toBe(true)
      },
    },
    {
      id: 'once.crash-before-commit',
      promise: 'a consumer that dies before its commit has handled nothing: the next delivery runs the handler',
      needs: ['crashes'],
      async run({ crash, deliver, isHandled }) {
        await crash((tx) => tx.once('billing', 'm-1', () => tx.once('effects', 'invoice 1')))
        expect(await deliver('billing', 'm-1')).toBe(true) // waits until the database has noticed
        expect(await isHandled('effects', 'invoice 1')).toBe(false)
      },
    },
    {
      id: 'once.handler-ends-first',
      promise: 'once ends after its handler has, all its statements included',
      async run({ transaction }) {
        const history: string[] = []
        await transaction((tx) =>
          inTurn(
            () =>
              tx.once('billing', 'm-1', () =>
                inTurn(
                  () => tx.once('effects', 'invoice 1'),
                  () => tx.once('effects', 'invoice 2'),
                  () => history.push('handler'),
                ),
              ),
            () => history.push('once'),
          ),
        )
        expect(history).toEqual(['handler', 'once'])
      },
    },
    {
      id: 'once.marked-before-the-handler',
      promise: 'a message is marked before its handler runs: delivered within its own handler, it is a repeat',
      async run({ transaction, isHandled }) {
        const inner: boolean[] = []
        const again = (ran: boolean): void => {
          inner.push(ran)
        }
        const ran = await transaction((tx) =>
          tx.once('billing', 'm-1', () => whenDone(tx.once('billing', 'm-1'), again)),
        )
        expect([ran, ...inner]).toEqual([true, false])
        expect(await isHandled('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'once.twice-in-one-transaction',
      promise: 'a message that was handled earlier in the same transaction is a repeat',
      async run({ transaction }) {
        const results: boolean[] = []
        const note = (ran: boolean): void => {
          results.push(ran)
        }
        await transaction((tx) =>
          inTurn(
            () => whenDone(tx.once('billing', 'm-1'), note),
            () => whenDone(tx.once('billing', 'm-1'), note),
            () => whenDone(tx.once('billing', 'm-2'), note),
          ),
        )
        expect(results).toEqual([true, false, true])
      },
    },
    {
      id: 'once.consumers-apart',
      promise: 'each consumer handles a message by itself',
      async run({ deliver, isHandled }) {
        expect(await deliver('billing', 'm-1')).toBe(true)
        expect(await isHandled('shipping', 'm-1')).toBe(false)
        expect(await deliver('shipping', 'm-1')).toBe(true)
        expect(await deliver('billing', 'm-1')).toBe(false)
        expect(await deliver('shipping', 'm-1')).toBe(false)
      },
    },
    {
      id: 'once.savepoint-rollback',
      promise: 'a savepoint that is rolled back takes its marks with it, and the transaction goes on',
      needs: ['savepoints'],
      async run({ transaction, isHandled }) {
        const results: boolean[] = []
        await transaction((tx) =>
          inTurn(
            () => tx.once('billing', 'before'),
            () => abandonedSavepoint(tx, (inner) => inner.once('billing', 'm-1')),
            () =>
              whenDone(tx.once('billing', 'm-1'), (ran) => {
                results.push(ran)
              }),
          ),
        )
        expect(results).toEqual([true])
        expect(await isHandled('billing', 'before')).toBe(true)
        expect(await isHandled('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'once.savepoint-commit',
      promise: 'what was handled in a savepoint commits and rolls back with the transaction around it',
      needs: ['savepoints'],
      async run({ transaction, rollBack, isHandled }) {
        await rollBack((tx) => tx.savepoint((inner) => inner.once('billing', 'm-1')))
        expect(await isHandled('billing', 'm-1')).toBe(false)
        await transaction((tx) => tx.savepoint((inner) => inner.once('billing', 'm-1')))
        expect(await isHandled('billing', 'm-1')).toBe(true)
      },
    },
  ],
}
