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
  /** a call never ends: the check does not end either, and that is how it is noticed */
  readonly hangs?: true
}

export const storeChecks: readonly StoreCheck[] = storeTopics.flatMap(({ checks }) => checks)

/** Runs one check against a sabotaged store. @returns what it throws; undefined if it passes */
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
  return faultOf(withStoreContext(open, (context) => check.run(context)))
}

export const publisherChecks: readonly PublisherCheck[] = publisherTopics.flatMap(({ checks }) => checks)

/** Runs one check against a sabotaged publisher. @returns what it throws; undefined if it passes */
export function runPublisherCheck(check: PublisherCheck, sabotage: PublisherSabotage): Promise<unknown> {
  const open = async () => openRecordingPublisher(sabotage)
  return faultOf(withPublisherContext(open, (context) => check.run(context)))
}

async function faultOf(running: Promise<void>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([running])
  return outcome.status === 'rejected' ? outcome.reason : undefined
}
