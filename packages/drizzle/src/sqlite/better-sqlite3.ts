import { OutboxError } from '@outbox/core'
import { translated, translatedInside } from './errors.ts'
import type { SqliteClient, SqliteStatement } from './handles.ts'
import { integerOf } from './rows.ts'
import { type Query, type Row, runSteps, type Steps } from './steps.ts'
import { type Access, commitWaitMs, pauseMs, type Transact } from './transact.ts'

/** Runs steps on better-sqlite3 connections; each statement is prepared once per connection. */
export class Connections {
  readonly #statements = new WeakMap<SqliteClient, Map<string, SqliteStatement>>()

  /** Runs the steps within the transaction that is open on `client`. What they wrote before they threw is undone. */
  runInside<Result>(client: SqliteClient, steps: Steps<Result>): Result {
    return translatedInside(() => {
      this.#rows(client, savepoint)
      try {
        const result = runSteps((query) => this.#rows(client, query), steps)
        this.#rows(client, releaseSavepoint)
        return result
      } catch (error) {
        // some failures, such as a full disk, have ended the transaction already
        if (client.inTransaction) {
          this.#rows(client, rollbackToSavepoint)
          this.#rows(client, releaseSavepoint)
        }
        throw error
      }
    })
  }

  /**
   * Runs `work` within the transaction that is open on `client`.
   *
   * @param ended - the error for a transaction that is over when `work` returns; another one may have begun
   */
  runWatched(client: SqliteClient, work: () => void, ended: (options?: ErrorOptions) => Error): void {
    const depth = watchedDepths.get(client) ?? 0
    watchedDepths.set(client, depth + 1)
    try {
      // it goes with its transaction: a statement may end that by its own doing, such as INSERT OR ROLLBACK
      translated(() => this.#rows(client, setWatch(depth)))
      work()
      if (!client.inTransaction) throw ended()
      try {
        translated(() => this.#rows(client, releaseWatch(depth)))
      } catch (error) {
        throw saysSavepointIsAbsent(error) ? ended({ cause: error }) : error
      }
    } finally {
      watchedDepths.set(client, depth)
    }
  }

  /**
   * Runs the steps in a transaction of their own, in one go. The connection must not be in one. For a lock that somebody
   * else has it waits as the connection's `timeout` says, with the thread at a standstill.
   */
  runAlone<Result>(client: SqliteClient, access: Access, steps: Steps<Result>): Result {
    return translated(() => this.#runAlone(client, access, steps))
  }

  /** As `runAlone`, but a lock that somebody else has is refused at once. */
  runAtOnce<Result>(client: SqliteClient, access: Access, steps: Steps<Result>): Result {
    return translated(() =>
      withoutWaiting(client, (timeout) =>
        this.#runAlone(client, access, steps, () => setBusyTimeout(client, Math.min(timeout, commitWaitMs))),
      ),
    )
  }

  #runAlone<Result>(client: SqliteClient, access: Access, steps: Steps<Result>, beforeCommit?: () => void): Result {
    this.#rows(client, access === 'write' ? beginImmediate : begin)
    try {
      const result = runSteps((query) => this.#rows(client, query), steps)
      beforeCommit?.()
      this.#rows(client, commit)
      return result
    } catch (error) {
      if (client.inTransaction) this.#rows(client, rollback)
      throw error
    }
  }

  #rows(client: SqliteClient, query: Query): readonly Row[] {
    const statement = this.#statement(client, query.text)
    if (statement.reader) return statement.all(...query.values).filter(isRow)
    statement.run(...query.values)
    return []
  }

  #statement(client: SqliteClient, text: string): SqliteStatement {
    const prepared = this.#statements.get(client) ?? new Map<string, SqliteStatement>()
    this.#statements.set(client, prepared)
    const known = prepared.get(text)
    if (known) return known
    const statement = client.prepare(text)
    // rows mean the same whatever the user made the connection's default
    statement.safeIntegers(false)
    prepared.set(text, statement)
    return statement
  }
}

const begin: Query = { text: 'BEGIN', values: [] }
const beginImmediate: Query = { text: 'BEGIN IMMEDIATE', values: [] }
const commit: Query = { text: 'COMMIT', values: [] }
const rollback: Query = { text: 'ROLLBACK', values: [] }
const savepoint: Query = { text: 'SAVEPOINT outbox_batch', values: [] }
const rollbackToSavepoint: Query = { text: 'ROLLBACK TO outbox_batch', values: [] }
const releaseSavepoint: Query = { text: 'RELEASE outbox_batch', values: [] }

/**
 * Runs `work` with the connection's `timeout` at 0: SQLite would wait for a lock with the thread at a standstill, and
 * whoever has the lock may need this thread to come to its end.
 *
 * @param work - is given the `timeout` that the connection had, in milliseconds
 */
function withoutWaiting<Result>(client: SqliteClient, work: (timeout: number) => Result): Result {
  const timeout = busyTimeoutOf(client)
  if (timeout === 0) return work(timeout)
  try {
    setBusyTimeout(client, 0)
    return work(timeout)
  } finally {
    setBusyTimeout(client, timeout)
  }
}

/** Milliseconds. */
function busyTimeoutOf(client: SqliteClient): number {
  const statement = client.prepare('PRAGMA busy_timeout')
  statement.safeIntegers(false)
  const [row] = statement.all().filter(isRow)
  return row ? integerOf(row, 'timeout') : 0
}

/** Made anew each time: it takes effect when it is prepared. */
function setBusyTimeout(client: SqliteClient, milliseconds: number): void {
  client.prepare(`PRAGMA busy_timeout = ${milliseconds}`).all()
}

/** How many watches are within each other; by their depth their savepoints have names that differ. */
const watchedDepths = new WeakMap<SqliteClient, number>()
const setWatch = (depth: number): Query => ({ text: `SAVEPOINT outbox_once_${depth}`, values: [] })
const releaseWatch = (depth: number): Query => ({ text: `RELEASE outbox_once_${depth}`, values: [] })

function saysSavepointIsAbsent(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('no such savepoint')
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null
}

/**
 * The store's own transactions on the user's connection.
 *
 * They never run while the user has a transaction open on it, whose uncommitted rows they would see: they wait for
 * its end, at most `maxWaitMs`, and so they do for another connection that writes, with the thread free. From the look
 * at the connection to the commit nothing else can run in between.
 *
 * @throws {OutboxError} `busy` when either lasts longer
 */
export function transactOn(client: SqliteClient, connections: Connections, maxWaitMs: number): Transact {
  return async (access, steps, options) => {
    const giveUpAt = performance.now() + maxWaitMs
    for (;;) {
      options?.signal?.throwIfAborted()
      const isOver = performance.now() >= giveUpAt
      if (translated(() => client.inTransaction)) {
        if (isOver) throw userTransactionOpen(maxWaitMs)
      } else {
        try {
          return connections.runAtOnce(client, access, steps())
        } catch (error) {
          if (isOver || !OutboxError.is(error, 'busy')) throw error
        }
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}

function userTransactionOpen(maxWaitMs: number): OutboxError<'busy'> {
  return new OutboxError(
    'busy',
    `A transaction has been open on this SQLite connection for ${maxWaitMs} ms, and the outbox does not read inside it. End it sooner, or give sqliteOutbox a connection of its own.`,
    { system: 'sqlite' },
  )
}
