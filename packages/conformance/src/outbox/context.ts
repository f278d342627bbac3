import type { Awaitable, Enqueue, Enqueueable, EntryContent, OneOrMany, OutboxSource, Receipt } from '@outbox/core'
import { expect } from 'vitest'
import type { Check, Topic } from '../check.ts'
import {
  type CheckedTransactions,
  checkedTransactions,
  type HeldTransaction,
  savepointOf,
} from '../checked-transactions.ts'
import type { OpenedTransactions, TransactionCapabilities, TransactionNeeds } from '../transactions.ts'
import type { OutboxHarness } from './harness.ts'

export type OutboxCheck = Check<OutboxContext, TransactionNeeds>
export type OutboxTopic = Topic<OutboxContext, TransactionNeeds>

/** A transaction as a check sees it, whatever the handle is. Both calls are synchronous where the driver is. */
export interface CheckedTransaction {
  enqueue(events: OneOrMany<Enqueueable>): Awaitable<readonly Receipt[]>
  savepoint<T>(work: (tx: CheckedTransaction) => Awaitable<T>): Awaitable<T>
}

/** A producer's transaction that stays open while the check does other things. */
export interface HeldProducer extends HeldTransaction {
  enqueue(events: OneOrMany<Enqueueable>): Promise<readonly Receipt[]>
}

/** The producer's side of an outbox, as checks use it. */
export interface Producer {
  transaction<T>(work: (tx: CheckedTransaction) => Awaitable<T>): Promise<T>
  /**
   * One transaction around one `enqueue`, as an application runs it: where conflicts are told at once, again until it
   * is not told `busy`.
   */
  commit(events: OneOrMany<Enqueueable>): Promise<readonly Receipt[]>
  /** Runs `work` in a transaction and rolls it back. */
  rollBack(work: (tx: CheckedTransaction) => Awaitable<unknown>): Promise<void>
  /** Only where transactions can be open at once. */
  begin(): Promise<HeldProducer>
  /** Runs `work` in a transaction whose process dies before the commit. */
  crash(work: (tx: CheckedTransaction) => Awaitable<unknown>): Promise<void>
  /** `enqueue` as a caller without types could call it. */
  enqueueWith(handle: unknown, events: OneOrMany<Enqueueable>): Promise<readonly Receipt[]>
}

/** All pending entries in one of the ways in which an outbox gives them out. */
export interface Reading {
  readonly way: string
  readonly entries: readonly EntryContent[]
}

/** One fresh outbox and what checks of the trait do with it. */
export interface OutboxContext extends Producer {
  readonly outbox: OutboxSource
  /** The same outbox as another process sees it. */
  peer(): Promise<OutboxSource>
  /** Shows that the outbox holds nothing that could ever be delivered. */
  expectEmpty(): Promise<void>
  /** Every way to read the pending entries, at most a thousand. They may have ended afterwards. */
  readings(): Promise<readonly Reading[]>
}

/** Opens what the harness has, runs one check, and closes everything, whatever happens. */
export async function withOutboxContext<Tx>(
  harness: OutboxHarness<Tx>,
  work: (context: OutboxContext) => Promise<void>,
): Promise<void> {
  const opened = await harness.open()
  const { outbox } = opened
  const { producer, end } = producerOf(outbox, opened, harness.capabilities)
  try {
    await work({
      ...producer,
      outbox,
      peer: () => opened.peer(),
      async expectEmpty() {
        expect(await outbox.fetchUnpublished(1000)).toEqual([])
      },
      readings: async () => [await unpublished(outbox)],
    })
  } finally {
    await end()
    await opened.close()
  }
}

export async function unpublished(outbox: OutboxSource): Promise<Reading> {
  return { way: 'fetchUnpublished', entries: await outbox.fetchUnpublished(1000) }
}

/** The producer's side, and how to roll back what a check has left open. */
export function producerOf<Tx>(
  outbox: Enqueue<Tx>,
  opened: OpenedTransactions<Tx>,
  capabilities: TransactionCapabilities,
): { readonly producer: Producer; readonly end: () => Promise<void> } {
  const checked = (tx: Tx): CheckedTransaction => ({
    enqueue: (events) => outbox.enqueue(tx, events),
    savepoint: (work) => savepointOf(opened, tx, (inner) => work(checked(inner))),
  })
  const { transaction, application, rollBack, begin, crash, end }: CheckedTransactions<CheckedTransaction> =
    checkedTransactions(opened, capabilities, checked)
  return {
    end,
    producer: {
      transaction,
      rollBack,
      crash,
      commit: (events) => application((tx) => tx.enqueue(events)),
      async begin() {
        const { tx, commit, rollback } = await begin()
        return { enqueue: async (events) => tx.enqueue(events), commit, rollback }
      },
      // `as`: this stands in for a caller whom the compiler does not check
      enqueueWith: async (handle, events) => outbox.enqueue(handle as Tx, events),
    },
  }
}
