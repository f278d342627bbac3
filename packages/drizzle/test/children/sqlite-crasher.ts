/** A process that enqueues, says so, and never comes to its commit: `sqlite-crasher.ts <file>`. */
import { writeSync } from 'node:fs'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { sqliteOutbox } from '../../src/sqlite/index.ts'

const db = drizzle({ client: new Database(process.argv[2]) })
const outbox = sqliteOutbox({ db })
db.transaction((tx) => {
  outbox.enqueue(tx, { type: 'order.placed', aggregateId: 'lost', payload: {} })
  writeSync(1, 'enqueued\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
