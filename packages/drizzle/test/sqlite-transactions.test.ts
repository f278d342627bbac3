import { event, OutboxError } from '@outbox/core'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  asTransaction,
  type SqliteOutbox,
  type SqliteSyncTransaction,
  setupInbox,
  sqliteInbox,
  sqliteOutbox,
} from '../src/sqlite/index.ts'
import { newFile, newOutboxFile, type TestTransaction } from './sqlite-files.ts'

const orders = sqliteTable('orders', { id: integer('id').primaryKey(), customer: text('customer').notNull() })
const placed = event('order.placed', { aggregateId: '1', payload: { total: 3 } })

let file: ReturnType<typeof newOutboxFile>
let outbox: SqliteOutbox

beforeEach(() => {
  file = newOutboxFile()
  file.db.$client.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL)')
  outbox = sqliteOutbox({ db: file.db })
})
afterEach(() => file.remove())

test('state and event are committed together, and rolled back together', async () => {
  const place = (customer: string, thenThrow: boolean): void =>
    file.db.transaction(
      (tx) => {
        tx.insert(orders).values({ customer }).run()
        outbox.enqueue(tx, placed)
        if (thenThrow) throw new Error('changed my mind')
      },
      { behavior: 'immediate' },
    )
  place('ann', false)
  expect(() => place('bob', true)).toThrow('changed my mind')
  expect(file.db.select().from(orders).all()).toEqual([{ id: 1, customer: 'ann' }])
  expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
})

test('enqueue is done when it returns: the receipts are there, and another statement of the transaction sees the row', () => {
  file.db.transaction((tx) => {
    const receipts = outbox.enqueue(tx, [placed, placed])
    expect(receipts.map(({ sequence, duplicate }) => ({ sequence, duplicate }))).toEqual([
      { sequence: 1, duplicate: false },
      { sequence: 2, duplicate: false },
    ])
    expect(tx.all('SELECT id FROM outbox_entries ORDER BY position')).toEqual(receipts.map(({ id }) => ({ id })))
  })
})

test('a committed entry is seen by another connection, an uncommitted one is not', async () => {
  const other = sqliteOutbox({ db: file.connect() })
  const seenBefore: Promise<unknown>[] = []
  file.db.transaction((tx) => {
    outbox.enqueue(tx, placed)
    seenBefore.push(other.fetchUnpublished(10)) // at once: the other connection is in no transaction
  })
  expect(await Promise.all(seenBefore)).toEqual([[]])
  expect(await other.fetchUnpublished(10)).toHaveLength(1)
})

test('the handle of a finished transaction is refused with what to do, and nothing is written', async () => {
  const kept: TestTransaction[] = []
  file.db.transaction((tx) => void kept.push(tx))
  const [finished] = kept
  const error = refusal(() => finished && outbox.enqueue(finished, placed))
  expect(error.details).toEqual({ reason: 'finished' })
  expect(error.message).toBe(
    'The transaction of this handle is over. better-sqlite3 is synchronous: do all that needs it inside the callback of db.transaction((tx) => …), before any await. Nothing was written.',
  )
  expect(await outbox.fetchUnpublished(10)).toEqual([])
})

test('an async callback is rolled back by the driver, and an enqueue after its await is refused: nothing is left', async () => {
  const late: Promise<unknown>[] = []
  expect(() =>
    file.db.transaction((tx) => {
      outbox.enqueue(tx, placed)
      const work = Promise.resolve().then(() => outbox.enqueue(tx, placed))
      late.push(work)
      return work
    }),
  ).toThrow('Transaction function cannot return a promise')
  await expect(late[0]).rejects.toMatchObject({ code: 'not-a-transaction', details: { reason: 'finished' } })
  expect(await outbox.fetchUnpublished(10)).toEqual([])
})

test('a plain database at run time is refused with what to pass instead', async () => {
  const handle: unknown = file.db
  const error = refusal(() => outbox.enqueue(asIfTransaction(handle), placed))
  expect(error.details).toEqual({ reason: 'no-transaction' })
  expect(error.message).toContain('pass the tx of db.transaction((tx) => …), not db')
  expect(await outbox.fetchUnpublished(10)).toEqual([])
})

test('a transaction of libsql is refused by name', async () => {
  const otherFile = newFile()
  await otherFile.connectLibsql().transaction(async (tx) => {
    const error = refusal(() => outbox.enqueue(asIfTransaction(tx), placed))
    expect(error.details).toEqual({ reason: 'wrong-handle' })
    expect(error.message).toContain(
      'This is a transaction of libsql, and the db that was given to the factory is one of',
    )
  })
  otherFile.remove()
})

test('the connection of the handle is asked, not that of the outbox: a transaction of another connection will do', async () => {
  const other = file.connect()
  expect(other.transaction((tx) => outbox.enqueue(tx, placed))).toHaveLength(1)
  const kept: TestTransaction[] = []
  other.transaction((tx) => void kept.push(tx))
  file.db.$client.exec('BEGIN')
  const [finished] = kept
  expect(refusal(() => finished && outbox.enqueue(finished, placed)).details).toEqual({ reason: 'finished' })
  file.db.$client.exec('ROLLBACK')
  expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
})

test('asTransaction names a handle on which BEGIN was run, and refuses one on which it was not', async () => {
  expect(() => asTransaction(file.db)).toThrow('No transaction is open on this connection')
  file.db.run('BEGIN IMMEDIATE')
  const tx = asTransaction(file.db)
  outbox.enqueue(tx, placed)
  file.db.run('ROLLBACK')
  expect(refusal(() => outbox.enqueue(tx, placed)).details).toEqual({ reason: 'finished' })
  expect(await outbox.fetchUnpublished(10)).toEqual([])
})

test('a batch that is refused is undone alone: the transaction goes on without a trace of it', async () => {
  const account = (id: string, sequence: number) => ({
    type: 'account.credited',
    aggregateId: id,
    sequence,
    payload: {},
  })
  file.db.transaction((tx) => {
    outbox.enqueue(tx, account('a', 1))
    const batch = [{ type: 'fresh.kind', aggregateId: 'f', payload: {} }, account('b', 1), account('a', 1)]
    expect(() => outbox.enqueue(tx, batch)).toThrow("Sequence 1 of account 'a' is taken by another entry")
    expect(() => outbox.enqueue(tx, [account('c', 7), account('c', 7)])).toThrow("Sequence 7 of account 'c' is taken")
  })
  expect((await outbox.fetchUnpublished(10)).map(({ aggregateId }) => aggregateId)).toEqual(['a'])
  expect(file.db.all("SELECT key FROM outbox_meta WHERE key LIKE 'sequence-source:%'")).toEqual([
    { key: 'sequence-source:account' },
  ])
  expect(file.db.all('SELECT * FROM outbox_sequences')).toEqual([])
})

test("the relay's half waits for a transaction that is open on the connection, and never sees into it", async () => {
  file.db.run('BEGIN')
  outbox.enqueue(asTransaction(file.db), placed)
  const seen = outbox.fetchUnpublished(10)
  file.db.run('ROLLBACK')
  expect(await seen).toEqual([])

  file.db.run('BEGIN')
  outbox.enqueue(asTransaction(file.db), placed)
  const counted = outbox.stats()
  file.db.run('COMMIT')
  expect((await counted).pending).toBe(1)
})

test('it waits only so long, then says busy, and stops waiting when told to', async () => {
  const impatient = sqliteOutbox({ db: file.db, maxWaitMs: 20 })
  file.db.run('BEGIN')
  const error: unknown = await impatient.poll({ holder: 'h' }).catch((thrown: unknown) => thrown)
  expect(OutboxError.is(error, 'busy') && error.message).toBe(
    'A transaction has been open on this SQLite connection for 20 ms, and the outbox does not read inside it. End it sooner, or give sqliteOutbox a connection of its own.',
  )
  const abort = new AbortController()
  const waiting = outbox.stats({ signal: abort.signal })
  abort.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  file.db.run('COMMIT')
})

test('it waits for another writer with the thread free, and the timeout stays what it was', async () => {
  const db = file.connect({ timeout: 30_000 })
  const patient = sqliteOutbox({ db, maxWaitMs: 30_000 })
  const writer = file.connect().$client
  writer.exec('BEGIN IMMEDIATE')
  let turns = 0
  const turning = setInterval(() => {
    turns += 1
    if (turns === 20) writer.exec('COMMIT')
  }, 1)
  // with the thread at a standstill it would be told busy: hardly a turn comes before the time is over
  await patient.join({ holder: 'relay' })
  clearInterval(turning)
  expect(turns).toBeGreaterThanOrEqual(20)
  expect(db.$client.pragma('busy_timeout', { simple: true })).toBe(30_000)
})

test('the timeout stays what it was when the function that is told of statements throws', async () => {
  let mustThrow = true
  const client = new Database(file.path, {
    timeout: 30_000,
    verbose: (text) => {
      if (!mustThrow || text !== 'PRAGMA busy_timeout = 0') return
      mustThrow = false
      throw new Error('told')
    },
  })
  await expect(sqliteOutbox({ db: drizzle({ client }) }).stats()).rejects.toThrow('told')
  expect(client.pragma('busy_timeout', { simple: true })).toBe(30_000)
  client.close()
})

test('a transaction that has read, and was overtaken by another writer, is told to run again', () => {
  const other = drizzle({ client: file.connect().$client })
  const attempt = (): unknown =>
    file.db.transaction((tx) => {
      tx.select().from(orders).all()
      other.transaction((overtaking) => outbox.enqueue(overtaking, placed))
      outbox.enqueue(tx, placed)
    })
  expect(refusal(attempt)).toMatchObject({ code: 'busy', isRetryable: true, details: { system: 'sqlite' } })
})

test('enqueue and once between the rows of .iterate() are told what to do instead, and not to try again', async () => {
  const { $client } = file.db
  setupInbox(file.db)
  const inbox = sqliteInbox({ db: file.db })
  $client.exec("INSERT INTO orders (customer) VALUES ('ann'), ('bob')")
  const calls = [
    (tx: TestTransaction) => outbox.enqueue(tx, placed),
    (tx: TestTransaction) => inbox.once(tx, 'billing', 'm-1', () => undefined),
  ]
  for (const call of calls) {
    const error = refusal(() =>
      file.db.transaction((tx) => {
        for (const _ of $client.prepare('SELECT * FROM orders').iterate()) call(tx)
      }),
    )
    expect(error).toMatchObject({ code: 'invalid-option', isRetryable: false, details: { option: 'tx' } })
    expect(error).toMatchObject({ message: expect.stringContaining('read the rows with .all() first') })
  }
  expect(await outbox.fetchUnpublished(10)).toEqual([])
})

test("a call of the relay's half between the rows of .iterate() waits for their end", async () => {
  const patient = sqliteOutbox({ db: file.db, maxWaitMs: 0 })
  file.db.$client.exec("INSERT INTO orders (customer) VALUES ('ann')")
  const rows = file.db.$client.prepare('SELECT * FROM orders').iterate()
  rows.next()
  await expect(patient.stats()).rejects.toMatchObject({ code: 'busy', isRetryable: true })
  rows.return?.()
  expect(await patient.stats()).toMatchObject({ pending: 0 })
})

test('a connection that was closed is unavailable', async () => {
  file.db.$client.close()
  await expect(outbox.stats()).rejects.toMatchObject({
    code: 'unavailable',
    message: 'The database connection is closed.',
  })
})

test('connections that hand out big integers by default make no difference', async () => {
  file.db.$client.defaultSafeIntegers(true)
  expect(file.db.transaction((tx) => outbox.enqueue(tx, placed))).toMatchObject([{ sequence: 1 }])
  expect(await outbox.fetchUnpublished(10)).toMatchObject([{ sequence: 1 }])
})

function refusal(attempt: () => unknown): OutboxError {
  try {
    attempt()
  } catch (error) {
    if (OutboxError.is(error)) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** Stands in for a caller whom the compiler does not check. */
function asIfTransaction(handle: unknown): SqliteSyncTransaction {
  return handle as SqliteSyncTransaction
}
