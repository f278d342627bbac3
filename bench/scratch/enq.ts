import { event } from '@outbox/core'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { startPostgres } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
await using server = await startPostgres()
const pool = new pg.Pool({ connectionString: server.url, max: 1 })
const db = drizzle({ client: pool })
await setup(db)
const outbox = pgOutbox({ db })
let captured = ''
const original = pg.Client.prototype.query
pg.Client.prototype.query = function (this: unknown, ...args: any[]) {
  const text = typeof args[0] === 'string' ? args[0] : args[0]?.text
  if (text?.includes('given as materialized')) captured = text
  return (original as any).apply(this, args)
} as never
for (const numbered of [false, true]) for (const size of [1, 100]) {
  const type = numbered ? 'account.moved' : 'order.changed'
  let plan = 0, exec = 0, wall = 0
  const rounds = 200
  let seq = 1
  for (let n = 0; n < rounds; n++) {
    await db.transaction(async (tx) => {
      const make = () => Array.from({ length: size }, (_, i) => event(type, { aggregateId: `${size}-${i % 10}`, payload: { a: 'x'.repeat(400) }, ...(numbered ? { sequence: seq++ } : {}) }))
      const b = performance.now()
      await outbox.enqueue(tx, make())
      wall += performance.now() - b
    })
    const text = captured
    const c = await pool.connect()
    await c.query('begin')
    // other ids
    const t2 = text.replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, () => crypto.randomUUID()).replace(/transaction_timestamp\(\) <> statement_timestamp\(\)/, 'true')
    const shifted = numbered ? t2 : t2
    try {
      const { rows } = await c.query(`explain (analyze, format json) ${shifted}`)
      const [p] = rows[0]['QUERY PLAN']
      plan += p['Planning Time']; exec += p['Execution Time']
    } catch (e) { if (n === 0) console.log((e as Error).message) }
    await c.query('rollback'); c.release()
  }
  console.log(numbered ? 'caller' : 'assigned', size, 'enqueue wall', (wall / rounds).toFixed(2), 'plan', (plan / rounds).toFixed(2), 'exec', (exec / rounds).toFixed(2))
  if (size === 1 && !numbered) console.log(captured.length)
}
// plain
const c = await pool.connect()
await c.query('create table plain (like outbox_entries including all)')
let plan = 0, exec = 0
for (let n = 0; n < 200; n++) {
  const { rows } = await c.query(`explain (analyze, format json) insert into plain (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at) values ('${crypto.randomUUID()}', 1, 'order', 'a${n}', 'order.changed', 1, '{"a":"${'x'.repeat(400)}"}', '{}', now())`)
  plan += rows[0]['QUERY PLAN'][0]['Planning Time']; exec += rows[0]['QUERY PLAN'][0]['Execution Time']
}
console.log('plain', (plan / 200).toFixed(3), (exec / 200).toFixed(3))
c.release()
await pool.end()
