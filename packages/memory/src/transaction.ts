import { type Awaitable, OutboxError } from '@outbox/core'
import type { LockTable } from './locks.ts'
import { markKey } from './marks.ts'
import { addRow } from './rows.ts'
import type { Mark, Row, State } from './state.ts'

/** The handle that `enqueue` and `once` take: made by `memoryOutbox().transaction`, of use until its callback ends. */
export interface MemoryTransaction {
  readonly kind: 'memory-transaction'
  /**
   * A savepoint: if `work` throws, what was written within it is gone, and the transaction around it goes on.
   *
   * Rejects with what `work` threw.
   */
  transaction<T>(work: (tx: MemoryTransaction) => Awaitable<T>): Promise<T>
}

/** What a transaction has written and nobody else sees. Savepoints write to the same lists. */
export interface OpenTransaction {
  readonly staged: Row[]
  readonly marks: Mark[]
  /** set once it was told `busy`: it takes nothing more, and rolls back */
  failure?: OutboxError
}

export interface Transactions {
  /**
   * Commits when `work` resolves, rolls back and rejects with the same error when it throws. One that was told `busy`
   * rolls back in any case, and rejects.
   */
  run<T>(work: (tx: MemoryTransaction) => Awaitable<T>): Promise<T>
  /** @throws {OutboxError} `not-a-transaction`; `busy` where it was told so before */
  of(handle: MemoryTransaction): OpenTransaction
  isOpen(handle: MemoryTransaction): boolean
  /** every transaction that has not ended */
  readonly open: ReadonlySet<OpenTransaction>
  readonly locks: LockTable<OpenTransaction>
}

/** Transactions over `state`: isolated, atomic; nothing of them is seen before they commit. */
export function transactionsOver(state: State, table: LockTable<OpenTransaction>, onCommit: () => void): Transactions {
  const handles = new WeakMap<object, { readonly transaction: OpenTransaction; isOpen: boolean }>()
  const open = new Set<OpenTransaction>()
  const locks: LockTable<OpenTransaction> = {
    ...table,
    take(owner, name) {
      try {
        return table.take(owner, name)
      } catch (error) {
        if (OutboxError.is(error)) owner.failure = error
        throw error
      }
    },
  }

  /** Runs `work` with a handle that is refused from the moment that `work` ends. */
  const withHandle = async <T>(
    transaction: OpenTransaction,
    work: (tx: MemoryTransaction) => Awaitable<T>,
  ): Promise<T> => {
    const handle: MemoryTransaction = {
      kind: 'memory-transaction',
      transaction: (inner) => savepoint(handle, inner),
    }
    const entry = { transaction, isOpen: true }
    handles.set(handle, entry)
    try {
      return await work(handle)
    } finally {
      entry.isOpen = false
    }
  }

  const isOpen = (handle: MemoryTransaction): boolean => {
    const known = handles.get(handle)
    return known?.isOpen === true && open.has(known.transaction)
  }

  const of = (handle: MemoryTransaction): OpenTransaction => {
    const known = typeof handle === 'object' && handle !== null ? handles.get(handle) : undefined
    if (!known) throw wrongHandle()
    if (!isOpen(handle)) throw finished()
    throwFailure(known.transaction)
    return known.transaction
  }

  const savepoint = async <T>(handle: MemoryTransaction, work: (tx: MemoryTransaction) => Awaitable<T>): Promise<T> => {
    const transaction = of(handle)
    const kept = transaction.staged.length
    const keptMarks = transaction.marks.length
    try {
      return await withHandle(transaction, work)
    } catch (error) {
      transaction.staged.length = Math.min(kept, transaction.staged.length)
      transaction.marks.length = Math.min(keptMarks, transaction.marks.length)
      throw error
    }
  }

  const run = async <T>(work: (tx: MemoryTransaction) => Awaitable<T>): Promise<T> => {
    const transaction: OpenTransaction = { staged: [], marks: [] }
    open.add(transaction)
    try {
      const result = await withHandle(transaction, work)
      throwFailure(transaction)
      for (const row of transaction.staged) addRow(state, row)
      for (const mark of transaction.marks) state.marks.set(markKey(mark), mark)
      if (transaction.staged.length > 0) onCommit()
      return result
    } finally {
      open.delete(transaction)
      locks.release(transaction, finished)
    }
  }

  return { run, of, isOpen, open, locks }
}

/** A database that has told of a deadlock has rolled back; what caught that, and goes on, must not commit the rest. */
function throwFailure({ failure }: OpenTransaction): void {
  if (failure !== undefined) throw failure
}

function wrongHandle(): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    'This is no transaction of this outbox. Use the handle that `outbox.transaction((tx) => …)` passes to its callback. Nothing was written.',
    { reason: 'wrong-handle' },
  )
}

function finished(): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    'The transaction has ended: await what writes before the callback returns. Nothing was written.',
    { reason: 'finished' },
  )
}
