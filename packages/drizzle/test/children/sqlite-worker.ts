/**
 * A process that works like a relay on every second partition, and appends what it delivers to a file:
 * `sqlite-worker.ts <file> <delivered> <0 or 1> <entries in all> <better-sqlite3 or libsql>`. It ends when nothing is
 * pending and all was seen.
 */
import { appendFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { createClient } from '@libsql/client'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzleLibsql } from 'drizzle-orm/libsql'
import { sqliteOutbox } from '../../src/sqlite/index.ts'

const [path = '', delivered = '', half = '0', total = '0', driver] = process.argv.slice(2)
const counting = "SELECT count(*) FROM outbox_settled WHERE outcome = 'published'"
const { outbox, published } = driver === 'libsql' ? onLibsql() : onBetterSqlite3()
const holder = `worker-${half}`
await outbox.join({ holder })
const { leases: states } = await outbox.poll({ holder })
const claims = states.filter(({ partition }) => partition % 2 === Number(half))
const leases = await outbox.acquire({ holder, claims, evict: [] })

while ((await published()) !== Number(total)) {
  const { duePartitions } = await outbox.poll({ holder })
  if (!duePartitions.some((partition) => partition % 2 === Number(half))) await setTimeout(2)
  const entries = await outbox.fetch({ leases, limit: 20, limitPerAggregate: 5, maxBytes: 1_000_000 })
  for (const { id, aggregateId, sequence } of entries) appendFileSync(delivered, `${aggregateId} ${sequence} ${id}\n`)
  await outbox.settle({ leases, settlements: entries.map((entry) => ({ entry, outcome: 'published' })) })
}
await outbox.release({ holder, leases, leave: true })

function onBetterSqlite3() {
  const client = new Database(path)
  const count = client.prepare(counting).pluck()
  return { outbox: sqliteOutbox({ db: drizzle({ client }) }), published: async () => count.get() }
}

function onLibsql() {
  const client = createClient({ url: `file:${path}` })
  const published = async (): Promise<unknown> => (await client.execute(counting)).rows[0]?.[0]
  return { outbox: sqliteOutbox({ db: drizzleLibsql({ client }) }), published }
}
