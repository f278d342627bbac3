import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3'
import { setup } from '../src/sqlite/index.ts'

export type TestDatabase = BetterSQLite3Database & { readonly $client: Database.Database }
export type TestTransaction = Parameters<Parameters<TestDatabase['transaction']>[0]>[0]

/** A database file of one test, in a directory of its own. */
export interface TestFile {
  readonly path: string
  /** a connection of its own, in WAL mode, closed with the file */
  connect(): TestDatabase
  remove(): void
}

export function newFile(): TestFile {
  const directory = mkdtempSync(join(tmpdir(), 'outbox-sqlite-'))
  const path = join(directory, 'test.db')
  const clients: Database.Database[] = []
  return {
    path,
    connect() {
      const client = new Database(path)
      clients.push(client)
      client.pragma('journal_mode = WAL')
      client.pragma('synchronous = NORMAL')
      return drizzle({ client })
    },
    remove() {
      for (const client of clients) client.close()
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
