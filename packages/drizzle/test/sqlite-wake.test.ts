import { event } from '@outbox/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { asTransaction, type LibsqlOutbox, type SqliteOutbox, sqliteOutbox } from '../src/sqlite/index.ts'
import { newLibsqlOutboxFile, newOutboxFile } from './sqlite-files.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })

let file: ReturnType<typeof newOutboxFile>
let outbox: SqliteOutbox
beforeEach(() => {
  file = newOutboxFile()
  outbox = sqliteOutbox({ db: file.db })
})
afterEach(() => file.remove())

test('a subscriber is woken once the entry is committed, once for many', async () => {
  await using woken = await subscription()
  file.db.transaction((tx) => {
    outbox.enqueue(tx, placed)
    outbox.enqueue(tx, placed)
  })
  expect(await woken.next()).toBe(2)
  expect(woken.count()).toBe(1)
})

test('it is not woken into a transaction that stays open over an await, but after it', async () => {
  await using woken = await subscription()
  file.db.run('BEGIN')
  outbox.enqueue(asTransaction(file.db), placed)
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  expect(woken.count()).toBe(0)
  file.db.run('COMMIT')
  expect(await woken.next()).toBe(1)
})

test('a requeued dead letter wakes too, and a subscription that was disposed of is silent', async () => {
  const disposed = await subscription()
  await disposed[Symbol.asyncDispose]()
  await using woken = await subscription()
  await outbox.deadLetters.requeue([crypto.randomUUID()])
  await woken.next()
  expect(disposed.count()).toBe(0)
})

test('on libsql a subscriber is woken when the transaction has ended, not while it is open', async () => {
  const libsql = await newLibsqlOutboxFile()
  const asyncOutbox = sqliteOutbox({ db: libsql.db })
  await using woken = await subscription(asyncOutbox)
  await libsql.db.transaction(async (tx) => {
    await asyncOutbox.enqueue(tx, placed)
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(woken.count()).toBe(0)
  })
  expect(await woken.next()).toBe(1)
  libsql.remove()
})

/** Counts wake-ups; `next` gives the number of entries that were there at the next one. */
async function subscription(of: SqliteOutbox | LibsqlOutbox = outbox) {
  let count = 0
  let resolve: (pending: Promise<number>) => void = () => undefined
  const next = new Promise<number>((resolveNext) => {
    resolve = resolveNext
  })
  const subscribed = await of.subscribe?.(() => {
    count += 1
    resolve(of.stats().then(({ pending }) => pending))
  })
  if (!subscribed) throw new Error('the outbox has no subscription')
  return { count: () => count, next: () => next, [Symbol.asyncDispose]: () => subscribed[Symbol.asyncDispose]() }
}
