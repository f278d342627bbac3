/**
 * A relay that publishes what it fetches, writes that down, says so, and never comes to the commit of that call:
 * `sqlite-step-crasher.ts <file> <better-sqlite3 or libsql>`.
 */
import { writeSync } from 'node:fs'
import { createClient } from '@libsql/client'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzleLibsql } from 'drizzle-orm/libsql'
import { sqliteOutbox } from '../../src/sqlite/index.ts'

const [path = '', driver] = process.argv.slice(2)
let stopsAtCommit = false
const outbox = driver === 'libsql' ? onLibsql() : onBetterSqlite3()
await outbox.join({ holder: 'crashes' })
const { leases: claims } = await outbox.poll({ holder: 'crashes' })
const leases = await outbox.acquire({ holder: 'crashes', claims, evict: [] })
const entries = await outbox.fetch({ leases, limit: 100, limitPerAggregate: 100, maxBytes: 1_000_000 })
stopsAtCommit = true
await outbox.settle({ leases, settlements: entries.map((entry) => ({ entry, outcome: 'published' })) })

function beforeCommit(): void {
  if (!stopsAtCommit) return
  writeSync(1, `settles ${entries.length}\n`)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function onBetterSqlite3() {
  const client = new Database(path)
  const prepare = client.prepare.bind(client)
  Reflect.set(client, 'prepare', (text: string) => {
    const statement = prepare(text)
    if (text === 'COMMIT') before(statement, 'run', beforeCommit)
    return statement
  })
  return sqliteOutbox({ db: drizzle({ client }) })
}

function onLibsql() {
  const client = createClient({ url: `file:${path}` })
  const begin = client.transaction.bind(client)
  Reflect.set(client, 'transaction', async (mode: 'deferred') => {
    const transaction = await begin(mode)
    before(transaction, 'executeMultiple', (text) => {
      if (text === 'COMMIT') beforeCommit()
    })
    return transaction
  })
  return sqliteOutbox({ db: drizzleLibsql({ client }) })
}

/** Has `look` called with the arguments of a method first. */
function before(object: object, method: string, look: (...args: readonly unknown[]) => void): void {
  const original: unknown = Reflect.get(object, method)
  if (typeof original !== 'function') throw new Error(`there is no ${method}`)
  Reflect.set(object, method, (...args: unknown[]): unknown => {
    look(...args)
    return Reflect.apply(original, object, args)
  })
}
