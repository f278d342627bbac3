import { expect } from 'vitest'
import { expectFailure, failure } from '../../failures.ts'
import type { CheckedConsumer, HeldInboxTransaction, InboxTopic } from '../context.ts'

/** Of deliveries that run at once, one runs the handler: a broker may well hand a message to two consumers. */
export const concurrentDeliveries: InboxTopic = {
  name: 'concurrent deliveries',
  keeps: 'inbox',
  checks: [
    {
      id: 'concurrent-deliveries.wait',
      promise:
        'a second delivery of a message waits for the first, and does not run the handler once that has committed',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ begin, peer }) {
        const history: string[] = []
        const other = await peer()
        const first = await begin()
        expect(await first.once('billing', 'm-1')).toBe(true)
        const second = other
          .deliver('billing', 'm-1', () => history.push('second handler'))
          .then((ran) => {
            history.push('second delivery ends')
            return ran
          })
        await roundTrips(other)
        history.push('first commits')
        await first.commit()
        expect(await second).toBe(false)
        expect(history).toEqual(['first commits', 'second delivery ends'])
      },
    },
    {
      id: 'concurrent-deliveries.first-rolls-back',
      promise: 'a second delivery of a message runs the handler once the first has rolled back, not before',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ begin, isHandled, peer }) {
        const history: string[] = []
        const other = await peer()
        const first = await begin()
        expect(await first.once('billing', 'm-1')).toBe(true)
        const second = other.deliver('billing', 'm-1', () => history.push('second handler'))
        await roundTrips(other)
        history.push('first rolls back')
        await first.rollback()
        expect(await second).toBe(true)
        expect(history).toEqual(['first rolls back', 'second handler'])
        expect(await isHandled('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'concurrent-deliveries.told-busy',
      promise:
        'a second delivery of a message is told busy at once, and when it is run again after the commit, that it is a repeat',
      needs: ['concurrentTransactions'],
      insteadOf: 'waitsForWriters',
      async run({ begin, peer }) {
        const other = await peer()
        const first = await begin()
        expect(await first.once('billing', 'm-1')).toBe(true)
        await expectToldBusy(other)
        await first.commit()
        expect(await other.deliver('billing', 'm-1')).toBe(false)
      },
    },
    {
      id: 'concurrent-deliveries.told-busy-then-rolled-back',
      promise: 'a second delivery that was told busy runs the handler when it is run again after the rollback',
      needs: ['concurrentTransactions'],
      insteadOf: 'waitsForWriters',
      async run({ begin, isHandled, peer }) {
        const other = await peer()
        const first = await begin()
        expect(await first.once('billing', 'm-1')).toBe(true)
        await expectToldBusy(other)
        await first.rollback()
        expect(await other.deliver('billing', 'm-1')).toBe(true)
        expect(await isHandled('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'concurrent-deliveries.others-do-not-wait',
      promise: 'other messages, and other consumers of the same message, do not wait',
      needs: ['concurrentTransactions'],
      async run({ begin, deliver }) {
        const first = await begin()
        await first.once('billing', 'm-1')
        expect(await deliver('billing', 'm-2')).toBe(true) // would hang here
        expect(await deliver('shipping', 'm-1')).toBe(true)
        await first.commit()
        expect(await deliver('billing', 'm-1')).toBe(false)
      },
    },
    {
      id: 'concurrent-deliveries.crosswise',
      promise: 'two transactions that handle two messages crosswise: one commits, the other is told busy',
      needs: ['concurrentTransactions', 'waitsForWriters'],
      async run({ begin, deliver }) {
        const one = await begin()
        const two = await begin()
        await one.once('billing', 'm-1')
        await two.once('billing', 'm-2')
        const finish = async (tx: HeldInboxTransaction, messageId: string): Promise<string> => {
          try {
            await tx.once('billing', messageId)
          } catch (error) {
            await tx.rollback()
            return expectFailure('busy', error).code
          }
          await tx.commit()
          return 'committed'
        }
        expect((await Promise.all([finish(one, 'm-2'), finish(two, 'm-1')])).toSorted()).toEqual(['busy', 'committed'])
        expect(await deliver('billing', 'm-1')).toBe(false)
        expect(await deliver('billing', 'm-2')).toBe(false)
      },
    },
    {
      id: 'concurrent-deliveries.many',
      promise: 'of many deliveries at once, from two processes, exactly one takes effect',
      async run({ deliver, transaction, peer }) {
        const other = await peer()
        for (let message = 0; message < 5; message++) {
          const results = await Promise.all(
            Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? deliver : other.deliver)('billing', `m-${message}`)),
          )
          expect(results.filter((ran) => ran === true)).toHaveLength(1)
          expect(results.filter((ran) => ran === false)).toHaveLength(19)
        }
        expect(await transaction((tx) => tx.once('billing', 'm-0'))).toBe(false)
      },
    },
  ],
}

/** Round trips enough for a delivery that does not wait to end. */
async function roundTrips(consumer: CheckedConsumer): Promise<void> {
  for (let n = 0; n < 20; n++) await consumer.inbox.check()
}

async function expectToldBusy({ transaction }: CheckedConsumer): Promise<void> {
  let runs = 0
  const second = transaction((tx) =>
    tx.once('billing', 'm-1', () => {
      runs += 1
    }),
  )
  expect((await failure('busy', second)).isRetryable).toBe(true)
  expect(runs).toBe(0)
}
