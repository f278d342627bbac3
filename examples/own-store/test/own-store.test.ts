import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeInbox, describeOutbox, describeStore, type InboxProcess } from '@outbox/conformance'
import { Connection, type Transaction } from '../src/connection.ts'
import { ownInbox } from '../src/inbox.ts'
import { ownOutbox } from '../src/outbox.ts'
import { setup, setupInbox } from '../src/tables.ts'

// #region harness
const capabilities = {
  concurrentTransactions: { leftOut: 'SQLite has one writer at a time, and the driver is synchronous' },
  savepoints: true,
  waitsForWriters: true,
} as const

describeStore<Transaction>('own store', {
  capabilities,
  async open() {
    const file = freshFile()
    const connection = file.connect()
    setup(connection)
    return {
      store: ownOutbox({ connection }),
      transaction: async (work) => connection.transaction(work),
      savepoint: (tx, work) => tx.savepoint(work),
      peer: async () => ownOutbox({ connection: file.connect() }),
      close: async () => file.remove(),
    }
  },
})
// #endregion

describeOutbox<Transaction>('own store, its three methods alone', {
  capabilities,
  async open() {
    const file = freshFile()
    const connection = file.connect()
    setup(connection)
    return {
      outbox: ownOutbox({ connection }),
      transaction: async (work) => connection.transaction(work),
      savepoint: (tx, work) => tx.savepoint(work),
      peer: async () => ownOutbox({ connection: file.connect() }),
      close: async () => file.remove(),
    }
  },
})

describeInbox<Transaction>('own inbox', {
  capabilities,
  async open() {
    const file = freshFile()
    setupInbox(file.connect())
    const opened = (connection: Connection): InboxProcess<Transaction> => ({
      inbox: ownInbox({ connection }),
      transaction: async (work) => connection.transaction(work),
      savepoint: (tx, work) => tx.savepoint(work),
    })
    return {
      ...opened(file.connect()),
      peer: async () => opened(file.connect()),
      close: async () => file.remove(),
    }
  },
})

/** A database file of its own; `remove` closes what `connect` opened. */
function freshFile() {
  const directory = mkdtempSync(join(tmpdir(), 'own-store-'))
  const opened = new DisposableStack()
  return {
    connect: () => opened.use(new Connection(join(directory, 'outbox.db'))),
    remove: () => {
      opened.dispose()
      rmSync(directory, { recursive: true })
    },
  }
}
