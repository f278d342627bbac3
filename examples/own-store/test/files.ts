import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Connection } from '../src/connection.ts'

// #region capabilities
/** What the suites may ask. */
export const capabilities = {
  concurrentTransactions: { leftOut: 'SQLite has one writer at a time, and the driver is synchronous' },
  savepoints: true,
  waitsForWriters: true,
  wakesUp: { leftOut: 'the store has no subscribe, so its relays poll' },
  asynchronousHandlers: { leftOut: 'the driver is synchronous' },
} as const
// #endregion

/** A database file of one test. */
export interface TestFile {
  /** another connection, as another process would have it */
  connect(): Connection
  /** Closes what `connect` opened, and removes the file. */
  remove(): void
}

export function freshFile(): TestFile {
  const directory = mkdtempSync(join(tmpdir(), 'own-store-'))
  const opened = new DisposableStack()
  return {
    connect: () => opened.use(new Connection(join(directory, 'outbox.db'))),
    remove() {
      opened.dispose()
      rmSync(directory, { recursive: true })
    },
  }
}
