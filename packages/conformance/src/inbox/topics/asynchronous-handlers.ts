import { setTimeout } from 'node:timers/promises'
import { expect } from 'vitest'
import { abandonedSavepoint } from '../../abandoned-savepoint.ts'
import { deferred } from '../../deferred.ts'
import { expectFailure } from '../../failures.ts'
import { inTurn } from '../../in-turn.ts'
import type { InboxContext, InboxTopic, InboxTransaction } from '../context.ts'

/**
 * While a handler waits for something, other things happen in its transaction, its end among them, where nobody awaits
 * `once`. That end commits a mark without the effect, which cannot be undone: it must be told.
 */
export const asynchronousHandlers: InboxTopic = {
  name: 'asynchronous handlers',
  keeps: 'inbox',
  checks: [
    {
      id: 'asynchronous-handlers.at-once',
      promise: 'calls at once in one transaction each run their handler, whichever of these ends first',
      needs: ['asynchronousHandlers'],
      run: async ({ transaction, isHandled }) => {
        const ids = ['m-1', 'm-2', 'm-3', 'm-4']
        const ran = await transaction(async (tx) => {
          const calls = ids.map((id) => begun(tx, id))
          const allStarted = Promise.all(calls.map(({ started }) => started))
          await inTime(allStarted)
          const [first, second, third, fourth] = calls
          for (const call of [first, third, fourth, second]) {
            call?.letHandlerEnd()
            if (call?.hasStarted()) await call.outcome
          }
          return Promise.all(calls.map(({ outcome }) => outcome))
        })
        expect(ran).toEqual(ids.map(() => ({ status: 'fulfilled', value: true })))
        for (const id of ids) expect(await isHandled('billing', id)).toBe(true)
      },
    },
    {
      id: 'asynchronous-handlers.commit-before-the-end',
      promise: 'a once whose transaction commits before the handler has ended is told so, and not that all went well',
      needs: ['asynchronousHandlers'],
      run: async (context) => {
        const call = await committedUnderHandler(context)
        call.letHandlerEnd()
        expectEnded(await call.outcome)
      },
    },
    {
      id: 'asynchronous-handlers.next-transaction',
      promise: 'the next transaction, on the same connection maybe, is not taken for the one that has ended',
      needs: ['asynchronousHandlers'],
      run: async (context) => {
        const call = await committedUnderHandler(context)
        await context.transaction((tx) =>
          inTurn(
            () => tx.once('billing', 'm-2'),
            () => call.letHandlerEnd(),
            () => call.outcome,
          ),
        )
        expectEnded(await call.outcome)
      },
    },
    {
      id: 'asynchronous-handlers.throws-after-the-end',
      promise: 'what the handler throws comes out of once, also where its transaction has ended before',
      needs: ['asynchronousHandlers'],
      run: async (context) => {
        const error = new Error('the handler failed')
        const call = await committedUnderHandler(context, () => {
          throw error
        })
        call.letHandlerEnd()
        expect(await call.outcome).toEqual({ status: 'rejected', reason: error })
      },
    },
    {
      id: 'asynchronous-handlers.savepoint-rolled-back',
      promise:
        'a once whose savepoint is rolled back before the handler has ended is told so, and the transaction goes on',
      needs: ['asynchronousHandlers', 'savepoints'],
      run: async ({ transaction, isHandled }) => {
        await transaction(async (tx) => {
          let call: Begun | undefined
          await abandonedSavepoint(tx, async (inner: InboxTransaction) => {
            call = begun(inner, 'm-1')
            await call.started
          })
          if (!call) throw new Error('the callback of the savepoint was not called')
          call.letHandlerEnd()
          expectEnded(await call.outcome)
          await tx.once('billing', 'm-2')
        })
        expect(await isHandled('billing', 'm-1')).toBe(false)
        expect(await isHandled('billing', 'm-2')).toBe(true)
      },
    },
    {
      id: 'asynchronous-handlers.savepoints-at-once',
      promise: 'of two savepoints at once the one that is rolled back may undo the other, whose once is then told so',
      needs: ['asynchronousHandlers', 'savepoints'],
      run: async ({ transaction, isHandled }) => {
        let second: PromiseSettledResult<boolean> | undefined
        const ended = transaction(async (tx) => {
          const [bothRun, firstIsOver] = [deferred<void>(), deferred<void>()]
          let running = 0
          const delivery = async (messageId: string, handler: () => Promise<void>): Promise<boolean> =>
            tx.savepoint((inner) =>
              inner.once('billing', messageId, async () => {
                running += 1
                if (running === 2) bothRun.resolve()
                await inTime(bothRun.promise)
                await handler()
              }),
            )
          const first = settled(delivery('m-1', () => Promise.reject(new Error('the handler failed'))))
          const other = settled(delivery('m-2', () => inTime(firstIsOver.promise)))
          expect((await first).status).toBe('rejected')
          firstIsOver.resolve()
          second = await other
        })
        // some drivers cannot roll back to a savepoint that is gone: then the transaction fails, and nothing is claimed
        const { status } = await settled(ended)
        if (status === 'rejected' || second?.status !== 'fulfilled') return
        expect(await isHandled('billing', 'm-2'), 'once() says that all went well').toBe(true)
      },
    },
  ],
}

/**
 * How long to wait until the handlers of several calls run side by side. An inbox need not let them: one that takes
 * whole calls one after the other has nothing to show here.
 */
const patienceMs = 500

async function inTime(event: Promise<unknown>): Promise<void> {
  await Promise.race([event, setTimeout(patienceMs, undefined, { ref: false })])
}

/** A once whose handler waits. */
interface Begun {
  /** Resolves when the handler runs, or never will. */
  readonly started: Promise<unknown>
  hasStarted(): boolean
  letHandlerEnd(): void
  /** Never rejects. */
  readonly outcome: Promise<PromiseSettledResult<boolean>>
}

/** @param last - what the handler does last */
function begun(tx: InboxTransaction, messageId: string, last: () => void = () => undefined): Begun {
  const started = deferred<void>()
  let hasStarted = false
  const released = deferred<void>()
  const running = async (): Promise<boolean> =>
    tx.once('billing', messageId, async () => {
      hasStarted = true
      started.resolve()
      await released.promise
      last()
    })
  const outcome = settled(running())
  return {
    started: Promise.race([started.promise, outcome]),
    hasStarted: () => hasStarted,
    letHandlerEnd: () => released.resolve(),
    outcome,
  }
}

async function settled<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([promise])
  return outcome
}

async function committedUnderHandler({ transaction }: InboxContext, last?: () => void): Promise<Begun> {
  let call: Begun | undefined
  await transaction(async (tx) => {
    call = begun(tx, 'm-1', last)
    await call.started
  })
  if (!call) throw new Error('the transaction callback was not called')
  return call
}

function expectEnded(outcome: PromiseSettledResult<boolean>): void {
  if (outcome.status === 'fulfilled') throw new Error('once() says that all went well')
  expect(expectFailure('not-a-transaction', outcome.reason).details).toEqual({ reason: 'finished' })
}
