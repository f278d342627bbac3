import { OutboxError } from '@outbox/core'
import { Turns, untilAborted } from '@outbox/core/adapter'
import { outboxErrorFrom } from './errors.ts'
import type { LibsqlClient, LibsqlStatement, LibsqlTransaction } from './handles.ts'
import { integerOf } from './rows.ts'
import { type AsyncRunner, type Query, type Row, runStepsAsync, type Steps } from './steps.ts'
import { commitWaitMs, pauseMs, type Transact } from './transact.ts'

/** Of all outboxes and inboxes in this process. */
const turns = new Turns<LibsqlTransaction>()

/**
 * Runs the steps within a transaction of the user. Steps that are given meanwhile for the same transaction wait for their
 * end, so that what these have read stays true.
 */
export function runInside<Result>(transaction: LibsqlTransaction, steps: Steps<Result>): Promise<Result> {
  return turns.take(transaction, () => translatedAsync(() => runStepsAsync(runnerOf(transaction), steps)))
}

/**
 * The store's own transactions, each on a connection that nobody else uses meanwhile.
 *
 * @param lock - takes the write lock
 */
export function transactOnLibsql(client: LibsqlClient, lock: Query, maxWaitMs: number): Transact {
  return (access, steps, options) => {
    const signal = options?.signal
    const attempt = untilFree(() => runAlone(client, steps(), access === 'write' ? lock : undefined), maxWaitMs, signal)
    return untilAborted(attempt, signal)
  }
}

/** Makes an attempt again as long as it is told `busy`, for `maxWaitMs`, with the thread free in between. */
export async function untilFree<Result>(
  attempt: () => Promise<Result>,
  maxWaitMs: number,
  signal?: AbortSignal,
): Promise<Result> {
  const giveUpAt = performance.now() + maxWaitMs
  for (;;) {
    signal?.throwIfAborted()
    await turnOfOurOwn()
    try {
      return await attempt()
    } catch (error) {
      if (!OutboxError.is(error, 'busy') || performance.now() >= giveUpAt) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/**
 * What libsql does with a local file takes microtasks only. So a transaction that begins in a turn of its own ends in it:
 * nobody else on this thread finds the lock taken, or waits for it with the thread at a standstill.
 */
function turnOfOurOwn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Runs statements without values in a transaction of their own. One that fails ends it: the client rolls back. */
export function makeInOneGo(client: LibsqlClient, statements: readonly string[]): Promise<void> {
  return translatedAsync(async () => {
    await client.executeMultiple(['BEGIN IMMEDIATE', ...statements, 'COMMIT'].join(';\n'))
  })
}

/**
 * Runs the steps in a transaction of their own, under the write lock if there is a statement that takes it.
 *
 * On a file without WAL, readers and who writes are in each other's way: the first read and COMMIT too may be told
 * SQLITE_BUSY. See `runnerOf`.
 */
export async function runAlone<Result>(client: LibsqlClient, steps: Steps<Result>, lock?: Query): Promise<Result> {
  return translatedAsync(async () => {
    const transaction = await client.transaction('deferred')
    try {
      return client.protocol === 'file'
        ? await inFile(client, transaction, steps, lock)
        : await onServer(transaction, steps, lock)
    } catch (error) {
      throw isClosed(error) ? connectionLost(error) : error
    } finally {
      transaction.close()
    }
  })
}

/** Nobody but libsql itself ends a transaction of the store's own. */
function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'TRANSACTION_CLOSED'
}

function connectionLost(cause: unknown): OutboxError<'unavailable'> {
  return new OutboxError(
    'unavailable',
    'libsql closed the transaction in the middle of a call; nothing of it was written.',
    { system: 'sqlite' },
    { cause },
  )
}

async function onServer<Result>(transaction: LibsqlTransaction, steps: Steps<Result>, lock?: Query): Promise<Result> {
  const runner = runnerOf(transaction)
  if (lock) await runner.rows(lock)
  const result = await runStepsAsync(runner, steps)
  await transaction.commit()
  return result
}

/**
 * With the client's `timeout` at 0: libsql would wait for a lock with the thread at a standstill, and whoever has the lock
 * may need this thread to come to its end.
 */
async function inFile<Result>(
  client: LibsqlClient,
  transaction: LibsqlTransaction,
  steps: Steps<Result>,
  lock?: Query,
): Promise<Result> {
  const runner = runnerOf(transaction)
  const [row] = await runner.rows({ text: 'PRAGMA busy_timeout', values: [] })
  const timeout = row ? integerOf(row, 'timeout') : 0
  if (timeout > 0) await runner.rows(busyTimeout(0))
  try {
    await runner.rows(lock ?? readLock)
    const result = await runStepsAsync(runner, steps)
    const commit = [busyTimeout(Math.min(timeout, commitWaitMs)).text, 'COMMIT', busyTimeout(timeout).text]
    // in one go: after the commit libsql takes nothing more, and others get the connection
    await transaction.executeMultiple(timeout > 0 ? commit.join(';\n') : 'COMMIT')
    return result
  } catch (error) {
    if (timeout > 0) await setBackAfterFailure(client, transaction, timeout)
    throw error
  }
}

async function setBackAfterFailure(
  client: LibsqlClient,
  transaction: LibsqlTransaction,
  timeout: number,
): Promise<void> {
  if (!transaction.closed) {
    await runnerOf(transaction).rows(busyTimeout(timeout))
    return
  }
  // Some failures, such as a full disk, have ended the transaction, and it takes nothing more. The connection goes back to
  // the client's pool, which hands out next the one that it was given last.
  transaction.close()
  if (client.closed) return
  try {
    await client.executeMultiple(busyTimeout(timeout).text)
  } catch (cause) {
    // told beside the failure that led here, which says what to do, and not in its place
    const message = `A connection of the libsql client waits for no lock any more: its timeout of ${timeout} ms could not be set back.`
    process.emitWarning(new Error(message, { cause }))
  }
}

/** With it the reads that follow in the transaction find the file theirs. */
const readLock: Query = { text: 'SELECT 1 FROM sqlite_schema LIMIT 1', values: [], takesLock: true }

function busyTimeout(milliseconds: number): Query {
  return { text: `PRAGMA busy_timeout = ${milliseconds}`, values: [] }
}

/**
 * Statements that may be told SQLITE_BUSY go through `executeMultiple`: of one that `execute` prepared, libsql lets go
 * only when garbage is collected. Until then no transaction of that connection can commit, and what it read stays locked.
 */
function runnerOf(transaction: LibsqlTransaction): AsyncRunner {
  return {
    async rows(query) {
      if (query.takesLock) {
        await transaction.executeMultiple(query.text)
        return []
      }
      const { rows } = await transaction.execute(statementOf(query))
      return rows.filter(isRow)
    },
    async inOneGo(queries) {
      // The first call sets a savepoint before the queries, and another one behind them. The second goes back to the one
      // that stands: if a query failed, that undoes all; if none did, it undoes nothing. Both are made at once, so that not
      // even the commit of a caller who forgot to await comes in between.
      await Promise.all([
        transaction.batch([savepoint, ...queries.map(statementOf), releaseSavepoint, savepoint]),
        transaction.batch([rollbackToSavepoint, releaseSavepoint]),
      ])
    },
  }
}

const savepoint: LibsqlStatement = { sql: 'SAVEPOINT outbox_batch', args: [] }
const rollbackToSavepoint: LibsqlStatement = { sql: 'ROLLBACK TO outbox_batch', args: [] }
const releaseSavepoint: LibsqlStatement = { sql: 'RELEASE outbox_batch', args: [] }

/** libsql binds every number as a floating one, but a bigint as it is; all numbers of this store are whole. */
function statementOf({ text, values }: Query): LibsqlStatement {
  return { sql: text, args: values.map((value) => (typeof value === 'number' ? BigInt(value) : value)) }
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null
}

async function translatedAsync<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    throw outboxErrorFrom(error)
  }
}
