import type { Awaitable } from '@outbox/core'
import { inTurn, isThenable } from './in-turn.ts'

const abandoned = new Error('savepoint rolled back on purpose')

/** Runs a savepoint that is rolled back, after which the transaction goes on. */
export function abandonedSavepoint<Inner>(
  tx: { readonly savepoint: (work: (inner: Inner) => Awaitable<unknown>) => Awaitable<unknown> },
  work: (inner: Inner) => Awaitable<unknown>,
): Awaitable<void> {
  const ignore = (error: unknown): void => {
    if (error !== abandoned) throw error
  }
  try {
    const result = tx.savepoint((inner) =>
      inTurn(
        () => work(inner),
        () => {
          throw abandoned
        },
      ),
    )
    return isThenable(result) ? result.then(() => undefined, ignore) : undefined
  } catch (error) {
    return ignore(error)
  }
}
