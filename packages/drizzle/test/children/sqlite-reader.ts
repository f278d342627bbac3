/** A process that reads all the time, for ten milliseconds each: `sqlite-reader.ts <file>`, until it is killed. */
import { writeSync } from 'node:fs'
import Database from 'better-sqlite3'

const client = new Database(process.argv[2], { timeout: 60_000 })
const nobody = new Int32Array(new SharedArrayBuffer(4))
for (let nth = 0; ; nth++) {
  client.exec('BEGIN; SELECT * FROM outbox_meta')
  if (nth === 0) writeSync(1, 'reading\n')
  Atomics.wait(nobody, 0, 0, 10)
  client.exec('COMMIT')
}
