import { event } from '@outbox/core'
import { Turns } from '@outbox/core/adapter'
import { memoryOutbox } from '@outbox/memory'
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { allCapabilities, type Capabilities } from './capabilities.ts'
import { finish } from './finish.ts'
import { emptyMemo, type Pair } from './pair.ts'
import { sideOf, type Transactional } from './side.ts'
import type { Step } from './step.ts'
import { interleavedSteps, leasedSteps, traitSteps } from './steps/index.ts'
import { joining } from './steps/relays.ts'

/** One fresh outbox, set up, for one history. */
export interface OpenedOutbox<Tx> extends Transactional<Tx> {
  /** Whether an `enqueue` waits for another transaction; it is asked until one does. Only with `waitsForWriters`. */
  isWaiting?(): Promise<boolean>
  close(): Promise<void>
}

export interface ModelOptions {
  /** random histories; default 25, or what `OUTBOX_HISTORIES` says */
  readonly runs?: number
  /** what is not named, the store can do */
  readonly capabilities?: Partial<Capabilities>
}

/**
 * Does the same random things to a store and to the store in memory, and compares every answer.
 *
 * A failure prints the seed and the shortest history that still shows the difference; `FC_SEED` and `FC_PATH` in the
 * environment run it again.
 */
export function describeModel<Tx>(
  name: string,
  open: () => Promise<OpenedOutbox<Tx>>,
  { runs = Number(process.env['OUTBOX_HISTORIES'] ?? 25), capabilities }: ModelOptions = {},
): void {
  const timeoutMs = Math.max(300_000, runs * 10_000)
  const can = { ...allCapabilities, ...capabilities }
  // a history that the search gave up on goes on, and may share its database with the next one: that waits for its end
  const turns = new Turns<Capabilities>()
  const compare = async (steps: readonly fc.Arbitrary<Step>[], prepare?: (pair: Pair) => Promise<void>) =>
    fc.assert(
      fc.asyncProperty(fc.commands([...steps], { maxCommands: 60, size: 'max' }), (history) =>
        turns.take(can, async () => {
          const opened = await open()
          const pair = pairOf(opened, can)
          try {
            await joining.run({}, pair)
            await prepare?.(pair)
            await fc.asyncModelRun(() => ({ model: {}, real: pair }), history)
            await finish(pair)
          } finally {
            // a failed history leaves transactions open, on which closing would wait for ever
            await Promise.allSettled(pair.memo.open.map(({ real }) => real.end('roll back')))
            await opened.close()
          }
        }),
      ),
      // a search for the shortest history ends in time to be told
      { numRuns: runs, interruptAfterTimeLimit: timeoutMs * 0.8, markInterruptAsFailure: true, ...replayed() },
    )
  describe(`${name}, beside the model`, () => {
    it(
      'what relays and operators do: answers every step as the store in memory does',
      () => compare(leasedSteps),
      timeoutMs,
    )
    it('the trait alone: answers every step as the store in memory does', () => compare(traitSteps), timeoutMs)

    const promise = 'beside open transactions: answers every step as the store in memory does'
    if (can.concurrentTransactions === true) it(promise, () => compare(interleavedSteps, declareTypes), timeoutMs)
    else it.skip(`${promise} (left out: ${can.concurrentTransactions.leftOut})`)
  })
}

function pairOf<Tx>(opened: OpenedOutbox<Tx>, can: Capabilities): Pair {
  return {
    real: sideOf(opened),
    model: sideOf(modelOutbox()),
    memo: emptyMemo(),
    can,
    isWaiting: async () => can.waitsForWriters === true && ((await opened.isWaiting?.()) ?? true),
  }
}

function modelOutbox() {
  const store = memoryOutbox()
  return { store, transaction: store.transaction }
}

/** How a type is numbered is written down by its first transaction, for which others may wait. That is not compared. */
async function declareTypes({ real, model }: Pair): Promise<void> {
  const first = { aggregateId: 'first', occurredAt: new Date('2030-01-01T00:00:00.000Z'), payload: {} }
  const events = [
    event('order.changed', { ...first, id: crypto.randomUUID() }),
    event('account.moved', { ...first, id: crypto.randomUUID(), sequence: 1 }),
  ]
  for (const side of [real, model]) await side.transact(events, 'commit')
}

function replayed(): { readonly seed?: number; readonly path?: string } {
  const { FC_SEED: seed, FC_PATH: path } = process.env
  return { ...(seed !== undefined && { seed: Number(seed) }), ...(path !== undefined && { path }) }
}
