/**
 * A process that holds the write lock, says so, and commits a moment after it was told to: `sqlite-holder.ts <file>`.
 */
import { readSync, writeSync } from 'node:fs'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { sqliteOutbox } from '../../src/sqlite/index.ts'

const db = drizzle({ client: new Database(process.argv[2]) })
const outbox = sqliteOutbox({ db })
db.transaction(
  (tx) => {
    outbox.enqueue(tx, { type: 'order.placed', aggregateId: 'first', payload: {} })
    writeSync(1, 'locked\n')
    readSync(0, new Uint8Array(1))
    // long enough for the other process to come to the lock; if it does not, it only has less to wait for
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  },
  { behavior: 'immediate' },
)
db.$client.close()
