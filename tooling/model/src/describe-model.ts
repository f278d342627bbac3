import type { Awaitable, OutboxStore, Receipt } from '@outbox/core'
import { memoryOutbox } from '@outbox/memory'
import fc from 'fast-check'
import { describe, it } from 'vitest'
import type { Pair, Side } from './pair.ts'
import { leasedSteps, traitSteps } from './steps/index.ts'

/** One fresh outbox, set up, for one history. */
export interface OpenedOutbox<Tx> {
  readonly store: OutboxStore<Tx>
  /** as in the store suite of `@outbox/conformance` */
  transaction<T>(work: (tx: Tx) => Awaitable<T>): Promise<T>
  close(): Promise<void>
}

export interface ModelOptions {
  /** random histories; default 25, or what `OUTBOX_HISTORIES` says */
  readonly runs?: number
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
  { runs = Number(process.env['OUTBOX_HISTORIES'] ?? 25) }: ModelOptions = {},
): void {
  describe(`${name}, beside the model`, () => {
    const suites = { 'what relays and operators do': leasedSteps, 'the trait alone': traitSteps }
    it.each(Object.entries(suites))(
      '%s: answers every step as the store in memory does',
      async (_, steps) => {
        await fc.assert(
          fc.asyncProperty(fc.commands([...steps], { maxCommands: 60, size: 'max' }), async (history) => {
            const opened = await open()
            try {
              const pair: Pair = {
                real: realSide(opened),
                model: modelSide(),
                memo: { holders: ['relay 0'], leases: [], batches: [] },
              }
              for (const { store } of [pair.real, pair.model]) await store.join({ holder: 'relay 0' })
              await fc.asyncModelRun(() => ({ model: {}, real: pair }), history)
            } finally {
              await opened.close()
            }
          }),
          { numRuns: runs, ...replayed() },
        )
      },
      300_000,
    )
  })
}

function replayed(): { readonly seed?: number; readonly path?: string } {
  const { FC_SEED: seed, FC_PATH: path } = process.env
  return { ...(seed !== undefined && { seed: Number(seed) }), ...(path !== undefined && { path }) }
}

const rollback = new Error('rolled back on purpose')

function realSide<Tx>({ store, transaction }: OpenedOutbox<Tx>): Side {
  return {
    store,
    transact: (events, ending) => inTransaction(transaction, (tx) => store.enqueue(tx, [...events]), ending),
  }
}

function modelSide(): Side {
  const store = memoryOutbox()
  return {
    store,
    transact: (events, ending) => inTransaction(store.transaction, (tx) => store.enqueue(tx, [...events]), ending),
  }
}

/** Works with a synchronous driver too: there `enqueue` gives its receipts, and the callback must return no promise. */
async function inTransaction<Tx>(
  transaction: OpenedOutbox<Tx>['transaction'],
  enqueue: (tx: Tx) => readonly Receipt[] | PromiseLike<readonly Receipt[]>,
  ending: 'commit' | 'roll back',
): Promise<readonly Receipt[]> {
  let written: readonly Receipt[] = []
  const end = (receipts: readonly Receipt[]): readonly Receipt[] => {
    written = receipts
    if (ending === 'roll back') throw rollback
    return receipts
  }
  try {
    return await transaction((tx) => {
      const receipts = enqueue(tx)
      return 'then' in receipts ? receipts.then(end) : end(receipts)
    })
  } catch (error) {
    if (error !== rollback) throw error
    return written
  }
}
