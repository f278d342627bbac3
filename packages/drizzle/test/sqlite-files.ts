import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient } from '@libsql/client'
import Database from 'better-sqlite3'
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzleLibsql, type LibSQLDatabase } from 'drizzle-orm/libsql'
import { expect } from 'vitest'
import { setup } from '../src/sqlite/index.ts'

export type TestDatabase = BetterSQLite3Database & { readonly $client: Database.Database }
export type TestTransaction = Parameters<Parameters<TestDatabase['transaction']>[0]>[0]

export type LibsqlTestDatabase = LibSQLDatabase & { readonly $client: Client }
export type LibsqlTestTransaction = Parameters<Parameters<LibsqlTestDatabase['transaction']>[0]>[0]

/** What the suites may ask of better-sqlite3. */
export const synchronous = {
  concurrentTransactions: { leftOut: 'SQLite has one writer at a time, and better-sqlite3 is synchronous' },
  savepoints: true,
  waitsForWriters: true,
  asynchronousHandlers: { leftOut: 'better-sqlite3 is synchronous' },
} as const

/** What the suites may ask of libsql. */
export const asynchronous = {
  concurrentTransactions: { leftOut: 'SQLite has one writer at a time, and drizzle begins every transaction as one' },
  savepoints: true,
  waitsForWriters: true,
} as const

/**
 * A database file of one test, in a directory of its own.
 *
 * The two drivers bring an SQLite each, which do not see each other's locks within one process: a test disconnects one
 * before it connects the other.
 */
export interface TestFile {
  readonly path: string
  /** a connection of its own, in WAL mode, closed with the file; `timeout`: as of better-sqlite3, milliseconds */
  connect(options?: { readonly timeout?: number }): TestDatabase
  /** a libsql client of its own, closed with the file; `timeout`: how long libsql waits for locks, milliseconds */
  connectLibsql(options?: { readonly timeout?: number }): LibsqlTestDatabase
  /** closes all connections so far */
  disconnect(): void
  remove(): void
}

export function newFile(): TestFile {
  const directory = mkdtempSync(join(tmpdir(), 'outbox-sqlite-'))
  const path = join(directory, 'test.db')
  const clients: { close(): unknown }[] = []
  const disconnect = (): void => {
    for (const client of clients.splice(0)) client.close()
  }
  return {
    path,
    connect(options) {
      const client = new Database(path, options)
      clients.push(client)
      client.pragma('journal_mode = WAL')
      client.pragma('synchronous = NORMAL')
      return drizzle({ client })
    },
    connectLibsql(options) {
      const client = createClient({ url: `file:${path}`, ...options })
      clients.push(client)
      return drizzleLibsql({ client })
    },
    disconnect,
    remove() {
      disconnect()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** A file in which the outbox is set up, and a connection to it. */
export function newOutboxFile(): TestFile & { readonly db: TestDatabase } {
  const file = newFile()
  const db = file.connect()
  setup(db)
  return { ...file, db }
}

/** The same through libsql: in WAL mode, which stays with the file. */
export async function newLibsqlOutboxFile(): Promise<TestFile & { readonly db: LibsqlTestDatabase }> {
  const file = newFile()
  const db = file.connectLibsql()
  await db.run('PRAGMA journal_mode = WAL')
  await setup(db)
  return { ...file, db }
}

/**
 * Runs one transaction after the other, as every process with a libsql file must: drizzle begins each with the write
 * lock, which libsql refuses at once, or waits for with the thread at a standstill.
 */
export function oneByOne(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const next = last.then(work)
    last = next.catch(() => undefined)
    return next
  }
}

/** Begins a transaction whose connection is closed where the commit would be. */
export function crash<Tx>(
  db: { readonly $client: { close(): unknown }; transaction(work: (tx: Tx) => void): unknown },
  work: (tx: Tx) => unknown,
): void {
  const dying = (): unknown =>
    db.transaction((tx) => {
      work(tx)
      db.$client.close()
    })
  expect(dying).toThrow()
}
