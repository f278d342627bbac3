import {
  type PublisherCheck,
  publisherTopics,
  type StoreCheck,
  storeTopics,
  withPublisherContext,
  withStoreContext,
} from '@outbox/conformance'
import type { OutboxStore } from '@outbox/core'
import { type MemoryOutbox, type MemoryTransaction, memoryOutbox } from '../../src/index.ts'
import { openRecordingPublisher, type PublisherSabotage } from './publisher-harness.ts'

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
  return fault(withStoreContext(open, (context) => check.run(context)))
}

export const publisherChecks: readonly PublisherCheck[] = publisherTopics.flatMap(({ checks }) => checks)

/** Runs one check against a sabotaged publisher. @returns what the check found, or undefined if it passed */
export function runPublisherCheck(check: PublisherCheck, sabotage: PublisherSabotage): Promise<unknown> {
  const open = async () => openRecordingPublisher(sabotage)
  return fault(withPublisherContext(open, (context) => check.run(context)))
}

/** What `running` rejects with; that it hangs is a fault too. */
async function fault(running: Promise<void>): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const hanging = new Promise<void>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the check hangs')), 3000)
  })
  try {
    await Promise.race([running, hanging])
    return undefined
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
  }
}
