import {
  type InboxCheck,
  type InboxProcess,
  inboxTopics,
  type PublisherCheck,
  publisherTopics,
  type StoreCheck,
  storeTopics,
  type TransactionCapabilities,
  withInboxContext,
  withPublisherContext,
  withStoreContext,
} from '@outbox/conformance'
import type { InboxStore, OutboxStore } from '@outbox/core'
import { invalidOption, isThenable } from '@outbox/core/adapter'
import { expect } from 'vitest'
import {
  type MemoryInbox,
  type MemoryOutbox,
  type MemoryTransaction,
  memoryInbox,
  memoryOutbox,
} from '../../src/index.ts'
import type { BrokenBy } from './broken-by.ts'
import { openRecordingPublisher, type PublisherSabotage } from './publisher-harness.ts'

/** What a broken store does otherwise than the memory store, or the database beneath it. */
export type Sabotage = (
  store: MemoryOutbox,
) => Partial<OutboxStore<MemoryTransaction> & Pick<MemoryOutbox, 'transaction'>>

/** What a broken inbox does otherwise than the memory inbox. Each process has one of its own. */
export type InboxSabotage = (inbox: MemoryInbox, outbox: MemoryOutbox) => Partial<InboxStore<MemoryTransaction>>

export type Saboteur = BrokenBy<Sabotage>
export type InboxSaboteur = BrokenBy<InboxSabotage>

export const storeChecks: readonly StoreCheck[] = storeTopics.flatMap(({ checks }) => checks)
export const inboxChecks: readonly InboxCheck[] = inboxTopics.flatMap(({ checks }) => checks)
export const publisherChecks: readonly PublisherCheck[] = publisherTopics.flatMap(({ checks }) => checks)

/** Runs one check against a sabotaged store. @returns what it throws; undefined if it passes */
export async function runStoreCheck(check: StoreCheck, sabotage: Sabotage): Promise<unknown> {
  const open = async () => {
    const store = memoryFor(check)
    const broken = { ...store, ...sabotage(store) }
    return { store: broken, ...transactionsOf(broken), peer: async () => broken, close: async () => undefined }
  }
  return faultOf(withStoreContext({ capabilities: capabilitiesFor(check), open }, (context) => check.run(context)))
}

/** Runs one check against a sabotaged inbox. @returns what it throws; undefined if it passes */
export function runInboxCheck(check: InboxCheck, sabotage: InboxSabotage): Promise<unknown> {
  const open = async () => {
    const outbox = memoryFor(check)
    const process = (): InboxProcess<MemoryTransaction> => {
      const inbox = memoryInboxFor(check, outbox)
      return { inbox: { ...inbox, ...sabotage(inbox, outbox) }, ...transactionsOf(outbox) }
    }
    return { ...process(), peer: async () => process(), close: async () => undefined }
  }
  return faultOf(withInboxContext({ capabilities: capabilitiesFor(check), open }, (context) => check.run(context)))
}

/** Runs one check against a sabotaged publisher. @returns what it throws; undefined if it passes */
export function runPublisherCheck(check: PublisherCheck, sabotage: PublisherSabotage): Promise<unknown> {
  const open = async () => openRecordingPublisher(sabotage)
  return faultOf(withPublisherContext(open, (context) => check.run(context)))
}

/** A database that waits, unless the check is about one that tells conflicts. */
function memoryFor({ insteadOf }: StoreCheck | InboxCheck): MemoryOutbox {
  return memoryOutbox({ onConflict: insteadOf === 'waitsForWriters' ? 'busy' : 'wait' })
}

/** As on a synchronous driver, where the check is about one. */
function memoryInboxFor({ insteadOf }: InboxCheck, outbox: MemoryOutbox): MemoryInbox {
  const inbox = memoryInbox({ outbox })
  if (insteadOf !== 'asynchronousHandlers') return inbox
  const synchronous = (handler: () => unknown) => () => {
    const result = handler()
    if (isThenable(result)) throw invalidOption('once', 'handler', 'must be synchronous')
  }
  return { ...inbox, once: (...[tx, consumer, id, handler]) => inbox.once(tx, consumer, id, synchronous(handler)) }
}

function capabilitiesFor({ insteadOf }: StoreCheck | InboxCheck): TransactionCapabilities {
  return {
    concurrentTransactions: true,
    savepoints: true,
    crashes: true,
    waitsForWriters: insteadOf === 'waitsForWriters' ? { leftOut: 'conflicts are told' } : true,
  }
}

function transactionsOf(store: Pick<MemoryOutbox, 'transaction'>) {
  return {
    transaction: <T>(work: (tx: MemoryTransaction) => T | PromiseLike<T>) => store.transaction(work),
    savepoint: <T>(tx: MemoryTransaction, work: (tx: MemoryTransaction) => T | PromiseLike<T>) => tx.transaction(work),
    // what a database makes of a connection that is gone
    async crash(work: (tx: MemoryTransaction) => unknown) {
      const died = new Error('the process died')
      const transaction = store.transaction(async (tx) => {
        await work(tx)
        throw died
      })
      await expect(transaction).rejects.toBe(died)
    },
  }
}

async function faultOf(running: Promise<void>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([running])
  return outcome.status === 'rejected' ? outcome.reason : undefined
}
