// Plays the application around the README's quickstart, whose module is the first argument: an ES module, or a
// CommonJS module that exports a promise. Ends with 0 once the order's event stands in Redis.
import { randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { Redis } from 'ioredis'
import pg from 'pg'

const [, , path = ''] = process.argv
const { DATABASE_URL = '', REDIS_URL = '' } = process.env

const database = new pg.Client({ connectionString: DATABASE_URL })
await database.connect()
await database.query(`create table orders (
  id uuid primary key, customer text not null, cents integer not null
)`)

const loaded = await import(pathToFileURL(path).href)
const { placeOrder } = await (loaded.default ?? loaded)
const order = { id: randomUUID(), customer: 'Ada', cents: 1200 }
await placeOrder(order)

const redis = new Redis(REDIS_URL)
const answer = JSON.stringify(await redis.xread('BLOCK', 20_000, 'STREAMS', 'orders', '0'))
if (!answer.includes(order.id)) throw new Error(`order ${order.id} did not arrive; Redis has ${answer}`)
console.log(`order ${order.id} arrived`)
process.exit(0)
