import { type StoreCheck, storeTopics, withStoreContext } from '@outbox/conformance'
import type { OutboxStore } from '@outbox/core'
import { type MemoryOutbox, memoryOutbox, type MemoryTransaction } from '../../src/index.ts'

/** What a broken store does otherwise than the memory store, or the database beneath it. */
export type Sabotage = (
  store: MemoryOutbox,
) => Partial<OutboxStore<MemoryTransaction> & Pick<MemoryOutbox, 'transaction'>>

export interface Saboteur {
  readonly breaks: string
  readonly sabotage: Sabotage
  /** ids of the checks that must notice */
  readonly caughtBy: readonly string[]
}

export const storeChecks: readonly StoreCheck[] = storeTopics.flatMap(({ checks }) => checks)

/** Runs one check against a sabotaged store. @returns what the check found, or undefined if it passed */
export async function runStoreCheck(check: StoreCheck, sabotage: Sabotage): Promise<unknown> {
  const store = memoryOutbox()
  const broken = { ...store, ...sabotage(store) }
  const open = async () => ({
    store: broken,
    transaction: <T>(work: (tx: MemoryTransaction) => T | PromiseLike<T>) => broken.transaction(work),
    savepoint: <T>(tx: MemoryTransaction, work: (tx: MemoryTransaction) => T | PromiseLike<T>) => tx.transaction(work),
    peer: async () => broken,
    close: async () => undefined,
  })
  let timer: ReturnType<typeof setTimeout> | undefined
  const hanging = new Promise<void>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the check hangs')), 3000)
  })
  try {
    await Promise.race([withStoreContext(open, (context) => check.run(context)), hanging])
    return undefined
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
  }
}
