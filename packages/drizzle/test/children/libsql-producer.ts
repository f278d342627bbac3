/** A process that commits events, rolling every tenth transaction back: `libsql-producer.ts <file> <name> <count>`. */
import { createClient } from '@libsql/client'
import { drizzle } from 'drizzle-orm/libsql'
import { sqliteOutbox } from '../../src/sqlite/index.ts'

const [path = '', name = '', count = '0'] = process.argv.slice(2)
// another process holds the lock for moments only, and nothing in this one needs the thread meanwhile
const db = drizzle({ client: createClient({ url: `file:${path}`, timeout: 60_000 }) })
const outbox = sqliteOutbox({ db })
const rollback = new Error('rolled back on purpose')

for (let n = 0; n < Number(count); n++) {
  try {
    await db.transaction(async (tx) => {
      await outbox.enqueue(tx, { type: 'order.placed', aggregateId: `shared-${n % 7}`, payload: { name, n } })
      await outbox.enqueue(tx, { type: 'order.placed', aggregateId: `${name}-${n % 5}`, payload: { name, n } })
      if (n % 10 === 9) throw rollback
    })
  } catch (error) {
    if (error !== rollback) throw error
  }
}
db.$client.close()
