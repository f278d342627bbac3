/** A process that commits events, rolling every tenth transaction back: `sqlite-producer.ts <file> <name> <count>`. */
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { sqliteOutbox } from '../../src/sqlite/index.ts'

const [path = '', name = '', count = '0'] = process.argv.slice(2)
const db = drizzle({ client: new Database(path) })
const outbox = sqliteOutbox({ db })
const rollback = new Error('rolled back on purpose')

for (let n = 0; n < Number(count); n++) {
  try {
    // deferred, as by default: a transaction that begins with an enqueue waits for its turn all the same
    db.transaction((tx) => {
      outbox.enqueue(tx, { type: 'order.placed', aggregateId: `shared-${n % 7}`, payload: { name, n } })
      outbox.enqueue(tx, { type: 'order.placed', aggregateId: `${name}-${n % 5}`, payload: { name, n } })
      if (n % 10 === 9) throw rollback
    })
  } catch (error) {
    if (error !== rollback) throw error
  }
}
db.$client.close()
