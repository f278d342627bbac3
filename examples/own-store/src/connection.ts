import { DatabaseSync, type SQLTagStore } from 'node:sqlite'
import { OutboxError } from '@outbox/core'

// #region transaction
/** The handle that `enqueue` and `once` take: of use until the callback that it was given to has returned. */
export class Transaction {
  readonly #sql: SQLTagStore
  #isOpen = true

  constructor(sql: SQLTagStore) {
    this.#sql = sql
  }

  /** @throws {OutboxError} `not-a-transaction` when it is over: the statement would be committed on its own */
  get sql(): SQLTagStore {
    if (this.#isOpen) return this.#sql
    throw new OutboxError('not-a-transaction', 'The transaction of this handle is over. Nothing was written.', {
      reason: 'finished',
    })
  }

  /** If `work` throws, what it wrote is undone, and the transaction goes on. */
  savepoint<T>(work: (tx: Transaction) => T): T {
    const { sql } = this
    sql.run`SAVEPOINT inner`
    try {
      return withHandle(sql, work)
    } catch (error) {
      sql.run`ROLLBACK TO inner`
      throw error
    } finally {
      sql.run`RELEASE inner`
    }
  }

  static end(tx: Transaction): void {
    tx.#isOpen = false
  }
}

/** What is no handle at all, such as the connection itself, is refused by name. */
export function sqlOf(tx: unknown): SQLTagStore {
  if (tx instanceof Transaction) return tx.sql
  throw new OutboxError('not-a-transaction', 'Pass the tx of connection.transaction((tx) => …). Nothing was written.', {
    reason: 'wrong-handle',
  })
}
// #endregion

/** One connection to an SQLite file. Its transactions are synchronous: they are over when their callback returns. */
export class Connection implements Disposable {
  readonly #database: DatabaseSync
  readonly #sql: SQLTagStore

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 })
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    this.#sql = this.#database.createTagStore()
  }

  /** Commits when `work` returns; rolls back and throws the same when it throws. Has the write lock from the start. */
  transaction<T>(work: (tx: Transaction) => T): T {
    return translated(() => {
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        const result = withHandle(this.#sql, work)
        this.#database.exec('COMMIT')
        return result
      } finally {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      }
    })
  }

  /** Runs a script of several statements, all of it or nothing. */
  script(statements: string): void {
    this.transaction(() => this.#database.exec(statements))
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}

function withHandle<T>(sql: SQLTagStore, work: (tx: Transaction) => T): T {
  const tx = new Transaction(sql)
  try {
    const result = work(tx)
    if (result instanceof Promise) throw new TypeError('A transaction of this store is synchronous: return no promise.')
    return result
  } finally {
    Transaction.end(tx)
  }
}

// #region errors
/** SQLite's result codes: what a caller can do about them. Others are bugs, and stay what they are. */
const meanings: ReadonlyMap<number, 'busy' | 'unavailable'> = new Map([
  [5, 'busy'], // SQLITE_BUSY
  [6, 'busy'], // SQLITE_LOCKED
  [8, 'unavailable'], // SQLITE_READONLY
  [10, 'unavailable'], // SQLITE_IOERR
  [13, 'unavailable'], // SQLITE_FULL
  [14, 'unavailable'], // SQLITE_CANTOPEN
])

function translated<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
    const meaning = meanings.get(code)
    if (meaning === undefined) throw error
    throw new OutboxError(meaning, `SQLite answers ${code}: try again.`, { system: 'sqlite' }, { cause: error })
  }
}
// #endregion
