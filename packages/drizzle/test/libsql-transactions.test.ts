import { once } from 'node:events'
import { createClient } from '@libsql/client'
import { event, OutboxError } from '@outbox/core'
import { drizzle } from 'drizzle-orm/libsql'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/libsql'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  asTransaction,
  type LibsqlOutbox,
  type SqliteAsyncTransaction,
  setup,
  sqliteOutbox,
} from '../src/sqlite/index.ts'
import { type LibsqlTestTransaction, newFile, newLibsqlOutboxFile } from './sqlite-files.ts'

const orders = sqliteTable('orders', { id: integer('id').primaryKey(), customer: text('customer').notNull() })
const placed = event('order.placed', { aggregateId: '1', payload: { total: 3 } })
/** Written by several statements: 250 entries are three inserts. */
const many = Array.from({ length: 250 }, (_, n) => event('order.placed', { aggregateId: `${n % 7}`, payload: { n } }))

const full = { code: 'unavailable', message: expect.stringContaining('SQLITE_FULL') }

async function joinUntilFull(of: LibsqlOutbox): Promise<never> {
  for (let nth = 0; ; nth++) await of.join({ holder: `${nth} ${'r'.repeat(200)}` })
}

let file: Awaited<ReturnType<typeof newLibsqlOutboxFile>>
let outbox: LibsqlOutbox

beforeEach(async () => {
  file = await newLibsqlOutboxFile()
  await file.db.run('CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL)')
  outbox = sqliteOutbox({ db: file.db })
})
afterEach(() => file.remove())

test('state and event are committed together, and rolled back together', async () => {
  const place = (customer: string, thenThrow: boolean): Promise<void> =>
    file.db.transaction(async (tx) => {
      await tx.insert(orders).values({ customer })
      await outbox.enqueue(tx, placed)
      if (thenThrow) throw new Error('changed my mind')
    })
  await place('ann', false)
  await expect(place('bob', true)).rejects.toThrow('changed my mind')
  expect(await file.db.select().from(orders)).toEqual([{ id: 1, customer: 'ann' }])
  expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
})

test('a handle is refused once its transaction is committed or rolled back, and nothing is written', async () => {
  const kept: LibsqlTestTransaction[] = []
  await file.db.transaction(async (tx) => void kept.push(tx))
  await expect(
    file.db.transaction(async (tx) => {
      kept.push(tx)
      await tx.transaction(async (inner) => void kept.push(inner))
      throw new Error('rolled back')
    }),
  ).rejects.toThrow('rolled back')
  expect(kept).toHaveLength(3)
  for (const finished of kept) {
    const error = await refusal(outbox.enqueue(finished, placed))
    expect(error.details).toEqual({ reason: 'finished' })
    expect(error.message).toBe(
      'The transaction of this handle is over. Await all that is done with it inside the callback of db.transaction(async (tx) => …). Nothing was written.',
    )
  }
  expect(await outbox.fetchUnpublished(10)).toEqual([])
})

test('whenever the transaction ends under an enqueue that nobody awaits, the batch is written whole or not at all', async () => {
  const outcomes = new Set<string>()
  for (let turns = 0; turns < 60; turns++) {
    const before = (await outbox.stats()).pending
    let forgotten: Promise<string> = Promise.resolve('')
    await file.db.transaction(async (tx) => {
      forgotten = outbox.enqueue(tx, many).then(
        () => 'written',
        (error: unknown) => (OutboxError.is(error, 'not-a-transaction') ? 'refused' : String(error)),
      )
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    })
    const outcome = await forgotten
    outcomes.add(outcome)
    expect((await outbox.stats()).pending - before, `${turns} turns`).toBe(outcome === 'written' ? many.length : 0)
  }
  expect([...outcomes].toSorted()).toEqual(['refused', 'written'])
  // nor did a counter move for what was refused
  const written = await outbox.fetchUnpublished(1_000_000)
  const sequences = written.filter(({ aggregateId }) => aggregateId === '0').map(({ sequence }) => sequence)
  expect(sequences).toEqual(sequences.map((_, index) => index + 1))
})

test('an enqueue that nobody awaits leaves nothing behind a rollback', async () => {
  let forgotten: Promise<unknown> = Promise.resolve()
  const rolledBack = file.db.transaction(async (tx) => {
    forgotten = Promise.allSettled([outbox.enqueue(tx, many)])
    throw new Error('rolled back')
  })
  await expect(rolledBack).rejects.toThrow('rolled back')
  await forgotten
  expect(await outbox.fetchUnpublished(10)).toEqual([])
})

test('calls that run at once in one transaction are numbered one after the other', async () => {
  const receipts = await file.db.transaction((tx) =>
    Promise.all(Array.from({ length: 10 }, () => outbox.enqueue(tx, [placed, placed]))),
  )
  const sequences = receipts.flat().map(({ sequence }) => sequence)
  expect(sequences.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  expect((await outbox.stats()).pending).toBe(20)
})

test('a batch that fails is undone alone, and what follows in the same transaction goes on', async () => {
  const account = (id: string, sequence: number) =>
    event('account.credited', { aggregateId: id, sequence, payload: {} })
  await file.db.transaction(async (tx) => {
    await outbox.enqueue(tx, account('a', 1))
    const batch = [event('fresh.kind', { aggregateId: 'f', payload: {} }), account('b', 1), account('a', 1)]
    const [conflict, after] = await Promise.allSettled([outbox.enqueue(tx, batch), outbox.enqueue(tx, account('c', 1))])
    expect(conflict).toMatchObject({ reason: { code: 'sequence-conflict' } })
    expect(after).toMatchObject({ status: 'fulfilled' })
  })
  expect((await outbox.fetchUnpublished(10)).map(({ aggregateId }) => aggregateId)).toEqual(['a', 'c'])
  expect(await file.db.all("SELECT key FROM outbox_meta WHERE key LIKE 'sequence-source:%'")).toEqual([
    { key: 'sequence-source:account' },
  ])
})

test('what fails in the middle of the writing is undone up to its beginning', async () => {
  await file.db.run(`CREATE TRIGGER refuse BEFORE INSERT ON outbox_entries WHEN new.payload = '{"n":200}'
    BEGIN SELECT raise(ABORT, 'not this one'); END`)
  await file.db.transaction(async (tx) => {
    await outbox.enqueue(tx, placed)
    await expect(outbox.enqueue(tx, many)).rejects.toThrow('not this one')
  })
  expect(await outbox.fetchUnpublished(10)).toMatchObject([{ aggregateId: '1', sequence: 1 }])
  expect(await file.db.all('SELECT aggregate_id, last_sequence FROM outbox_sequences')).toEqual([
    { aggregate_id: '1', last_sequence: 1 },
  ])
})

test('a batch that fails leaves nothing, wherever a commit that did not wait for it comes in between', async () => {
  await file.db.run(`CREATE TRIGGER refuse BEFORE INSERT ON outbox_pending BEGIN SELECT raise(ABORT, 'no room'); END`)
  const ends = new Set<string>()
  for (let turns = 0; turns <= 40; turns++) {
    let forgotten: Promise<unknown> = Promise.resolve()
    await file.db.transaction(async (tx) => {
      await tx.insert(orders).values({ customer: 'ann' })
      forgotten = outbox.enqueue(tx, many).catch((error: unknown) => ends.add(String(error)))
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    })
    await forgotten
    for (const table of ['entries', 'pending', 'sequences']) {
      expect(await file.db.all(`SELECT * FROM outbox_${table}`), `${table} after ${turns} turns`).toEqual([])
    }
  }
  // the commit came before the batch, and after it
  expect([...ends].toSorted()).toEqual([expect.stringContaining('no room'), expect.stringContaining('is over')])
  expect(await file.db.all('SELECT count(*) AS orders FROM orders')).toEqual([{ orders: 41 }])
})

test('db, a transaction of better-sqlite3 and one of another outbox driver are refused by name at run time', async () => {
  const db = await refusal(outbox.enqueue(asIfTransaction(file.db), placed))
  expect(db.details).toEqual({ reason: 'no-transaction' })
  expect(db.message).toContain('pass the tx of db.transaction((tx) => …), not db')
  const sync: unknown[] = []
  const otherFile = newFile()
  otherFile.connect().transaction((tx) => void sync.push(tx))
  otherFile.remove()
  const other = await refusal(outbox.enqueue(asIfTransaction(sync[0]), placed))
  expect(other.details).toEqual({ reason: 'wrong-handle' })
  expect(other.message).toContain('This is a transaction of better-sqlite3, and the db that was given')
})

test('asTransaction names a transaction that a framework hands around as a db', async () => {
  expect(() => asTransaction(file.db)).toThrow('No transaction is open on this connection')
  const kept: SqliteAsyncTransaction[] = []
  await file.db.transaction(async (tx) => {
    const host: Pick<typeof file.db, 'run'> = tx
    kept.push(asTransaction(host))
    await outbox.enqueue(asTransaction(host), placed)
  })
  const [finished] = kept
  expect((await refusal(outbox.enqueue(asIfTransaction(finished), placed))).details).toEqual({ reason: 'finished' })
  expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
})

test("the relay's half does not see into an open transaction; what writes waits for it with the thread free", async () => {
  const seen: unknown[] = []
  let joined: Promise<unknown> = Promise.resolve()
  await file.db.transaction(async (tx) => {
    await outbox.enqueue(tx, placed)
    seen.push(await outbox.fetchUnpublished(10))
    joined = outbox.join({ holder: 'relay' })
    // far more than the call takes when nothing is in its way
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
    seen.push(await Promise.race([joined, Promise.resolve('still waiting')]))
  })
  expect(seen).toEqual([[], 'still waiting'])
  expect(await joined).toMatchObject({ source: expect.any(String) })
})

test('it waits so too when the client has a timeout, which stays what it was', async () => {
  const db = file.connectLibsql({ timeout: 60_000 })
  const patient = sqliteOutbox({ db, maxWaitMs: 20 })
  await file.db.transaction(async (tx) => {
    await outbox.enqueue(tx, placed)
    await expect(patient.join({ holder: 'relay' })).rejects.toMatchObject({ code: 'busy', isRetryable: true })
  })
  await patient.join({ holder: 'relay' })
  expect(await db.all('PRAGMA busy_timeout')).toEqual([{ timeout: 60_000 }])
})

test('the timeout of the client stays what it was when a full disk has ended the transaction', async () => {
  const db = drizzle({ client: createClient({ url: `file:${file.path}`, timeout: 30_000, concurrency: 1 }) })
  const patient = sqliteOutbox({ db })
  const [pages] = await db.all<{ page_count: number }>('PRAGMA page_count')
  await db.run(`PRAGMA max_page_count = ${pages?.page_count}`)
  await expect(joinUntilFull(patient)).rejects.toMatchObject(full)
  expect(await db.all('PRAGMA busy_timeout')).toEqual([{ timeout: 30_000 }])
  db.$client.close()
})

test('a timeout that cannot be set back is told beside the failure, not in its place', async () => {
  const db = drizzle({ client: createClient({ url: `file:${file.path}`, timeout: 30_000, concurrency: 1 }) })
  const patient = sqliteOutbox({ db })
  const [pages] = await db.all<{ page_count: number }>('PRAGMA page_count')
  await db.run(`PRAGMA max_page_count = ${pages?.page_count}`)
  const gone = new Error('gone')
  Reflect.set(db.$client, 'executeMultiple', () => Promise.reject(gone))
  const warned = once(process, 'warning')
  await expect(joinUntilFull(patient)).rejects.toMatchObject(full)
  expect(await warned).toMatchObject([{ message: expect.stringContaining('its timeout of 30000 ms'), cause: gone }])
  db.$client.close()
})

test('without WAL, where a reader holds up the commit, it waits with the thread free too', async () => {
  await file.db.run('PRAGMA journal_mode = DELETE')
  const db = file.connectLibsql({ timeout: 30_000 })
  const patient = sqliteOutbox({ db, maxWaitMs: 30_000 })
  const reader = await file.db.$client.transaction('deferred')
  await reader.execute('SELECT * FROM outbox_meta')
  let turns = 0
  const turning = setInterval(() => {
    turns += 1
    if (turns === 20) reader.close()
  }, 1)
  // with the thread at a standstill it would be told busy: hardly a turn comes before the time is over
  await patient.join({ holder: 'relay' })
  clearInterval(turning)
  expect(turns).toBeGreaterThanOrEqual(20)
  expect(await db.all('PRAGMA busy_timeout')).toEqual([{ timeout: 30_000 }])
})

test('without WAL a call that reads waits for who writes, and leaves no lock behind', async () => {
  await file.db.run('PRAGMA journal_mode = DELETE')
  const patient = sqliteOutbox({ db: file.connectLibsql(), maxWaitMs: 60_000 })
  const beginExclusive = async () => {
    const transaction = await file.db.$client.transaction('deferred')
    await transaction.executeMultiple('ROLLBACK; BEGIN EXCLUSIVE')
    return transaction
  }
  await patient.stats() // so that its connection knows the tables
  const writer = await beginExclusive()
  const reading = patient.stats()
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve)) // it has met the lock by then
  writer.close()
  expect(await reading).toMatchObject({ pending: 0 })
  const next = await beginExclusive()
  next.close()
})

test('two outboxes on one transaction take turns', async () => {
  const other = sqliteOutbox({ db: file.db })
  await file.db.transaction(async (tx) => {
    await Promise.all([outbox.enqueue(tx, many), other.enqueue(tx, many)])
  })
  const entries = await outbox.fetchUnpublished(1_000)
  expect(entries).toHaveLength(2 * many.length)
  expect(new Set(entries.map(({ aggregateId, sequence }) => `${aggregateId} ${sequence}`)).size).toBe(2 * many.length)
})

test('a call that waits ends when it is told to', async () => {
  await file.db.transaction(async (tx) => {
    await outbox.enqueue(tx, placed)
    const abort = new AbortController()
    const waiting = outbox.join({ holder: 'relay', signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })
})

test('in memory, where there is one connection, a call of a relay waits for the transaction that has it', async () => {
  const db = drizzle({ client: createClient({ url: ':memory:' }) })
  await setup(db)
  const inMemory = sqliteOutbox({ db })
  let polled: Promise<unknown> = Promise.resolve()
  await inMemory.join({ holder: 'relay' })
  await db.transaction(async (tx) => {
    await inMemory.enqueue(tx, placed)
    polled = inMemory.poll({ holder: 'relay' })
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
    await inMemory.enqueue(tx, placed)
  })
  expect(await polled).toMatchObject({ isMember: true, duePartitions: [expect.any(Number)] })
  expect((await inMemory.stats()).pending).toBe(2)
  db.$client.close()
})

test('transactions of the process never meet those of a relay beside them', async () => {
  await outbox.join({ holder: 'relay' })
  for (let turns = 0; turns < 60; turns++) {
    const poll = outbox.poll({ holder: 'relay' })
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    // a BEGIN that finds the lock taken is refused at once
    await file.db.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await poll).toMatchObject({ isMember: true })
  }
})

test('a deferred transaction that has read, and was overtaken by another writer, is told to run again', async () => {
  const rc = drizzleRc({ client: file.db.$client })
  const outboxRc = sqliteOutbox({ db: rc })
  const attempt = rc.transaction(
    async (tx) => {
      await tx.run('SELECT * FROM orders')
      await file.db.transaction((overtaking) => outbox.enqueue(overtaking, placed))
      await outboxRc.enqueue(tx, placed)
    },
    { behavior: 'deferred' },
  )
  expect(await refusal(attempt)).toMatchObject({ code: 'busy', isRetryable: true, details: { system: 'sqlite' } })
})

test('a client that was closed is unavailable', async () => {
  file.db.$client.close()
  await expect(outbox.stats()).rejects.toMatchObject({
    code: 'unavailable',
    message: 'The libsql client is closed. (CLIENT_CLOSED)',
  })
})

test("a transaction of the outbox's own that libsql ends is unavailable, and no fault of a caller", async () => {
  const begin = file.db.$client.transaction.bind(file.db.$client)
  Reflect.set(file.db.$client, 'transaction', async (mode: 'deferred') => {
    const transaction = await begin(mode)
    await transaction.rollback()
    return transaction
  })
  await expect(outbox.stats()).rejects.toMatchObject({ code: 'unavailable', isRetryable: true })
})

test.each(['bigint', 'string'] as const)('a client that gives integers as %s makes no difference', async (intMode) => {
  const db = drizzle({ client: createClient({ url: `file:${file.path}`, intMode }) })
  const same = sqliteOutbox({ db })
  expect(await db.transaction((tx) => same.enqueue(tx, [placed, placed]))).toMatchObject([
    { sequence: 1 },
    { sequence: 2 },
  ])
  await same.join({ holder: 'relay' })
  const { leases: claims } = await same.poll({ holder: 'relay' })
  const leases = await same.acquire({ holder: 'relay', claims, evict: [] })
  const entries = await same.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 10_000 })
  await same.settle({ leases, settlements: entries.map((entry) => ({ entry, outcome: 'published' })) })
  expect(entries).toMatchObject([
    { sequence: 1, attempt: 1 },
    { sequence: 2, attempt: 1 },
  ])
  expect(await same.stats()).toMatchObject({ pending: 0 })
  expect(await same.purge({ olderThanMs: 0, limit: 10 })).toBe(2)
  db.$client.close()
})

async function refusal(attempt: Promise<unknown>): Promise<OutboxError> {
  const error: unknown = await attempt.then(
    () => new Error('nothing was refused'),
    (reason: unknown) => reason,
  )
  if (OutboxError.is(error)) return error
  throw error
}

/** Stands in for a caller whom the compiler does not check. */
function asIfTransaction(handle: unknown): SqliteAsyncTransaction {
  return handle as SqliteAsyncTransaction
}
