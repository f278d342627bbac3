/** A process that enqueues, says so, and never comes to its commit: `libsql-crasher.ts <file>`. */
import { writeSync } from 'node:fs'
import { createClient } from '@libsql/client'
import { drizzle } from 'drizzle-orm/libsql'
import { sqliteOutbox } from '../../src/sqlite/index.ts'

const db = drizzle({ client: createClient({ url: `file:${process.argv[2]}` }) })
const outbox = sqliteOutbox({ db })
await db.transaction(async (tx) => {
  await outbox.enqueue(tx, { type: 'order.placed', aggregateId: 'lost', payload: {} })
  writeSync(1, 'enqueued\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
