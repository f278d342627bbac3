import { OutboxError } from '@outbox/core'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { drizzle as drizzleRc } from 'drizzle-orm-rc/libsql'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { setupInbox, sqliteInbox } from '../src/sqlite/index.ts'
import { newFile, type TestFile } from './sqlite-files.ts'

const invoices = sqliteTable('invoices', { id: integer('id').primaryKey(), order: text('order').notNull() })
const invoicesTable = 'CREATE TABLE invoices (id INTEGER PRIMARY KEY, "order" TEXT NOT NULL)'

let file: TestFile
beforeEach(() => {
  file = newFile()
})
afterEach(() => file.remove())

describe('better-sqlite3', () => {
  test('the effect and the mark are committed together, once for each consumer, and once returns a boolean', () => {
    const db = ready()
    const inbox = sqliteInbox({ db })
    const deliver = (consumer: string): boolean =>
      db.transaction((tx) =>
        inbox.once(tx, consumer, 'm-1', () => tx.insert(invoices).values({ order: consumer }).run()),
      )
    expect([deliver('billing'), deliver('billing'), deliver('audit')]).toEqual([true, false, true])
    expect(db.select().from(invoices).all()).toMatchObject([{ order: 'billing' }, { order: 'audit' }])
  })

  test('a handler that returns a promise is told what it has to be, and its transaction leaves nothing', () => {
    const db = ready()
    const inbox = sqliteInbox({ db })
    const handlers: (() => unknown)[] = [
      async () => undefined,
      // a query that was not run: it would run only when somebody awaited it
      () => db.insert(invoices).values({ order: '1' }),
    ]
    for (const handler of handlers) {
      const error = thrownBy(() => db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', handler)))
      expect(error).toMatchObject({ code: 'invalid-option', details: { option: 'handler' } })
      expect(error).toMatchObject({ message: expect.stringContaining('handler returned a promise') })
    }
    expect(db.all('SELECT * FROM outbox_inbox')).toEqual([])
    expect(db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => {}))).toBe(true)
  })

  test('a handler under which the transaction was rolled back, or another begun, is told so', () => {
    const db = ready()
    db.run('CREATE UNIQUE INDEX orders ON invoices ("order")')
    const inbox = sqliteInbox({ db })
    const deliver = (statements: readonly string[]) =>
      thrownBy(() =>
        db.transaction((tx) =>
          inbox.once(tx, 'billing', 'm-1', () => {
            tx.insert(invoices).values({ order: '1' }).run()
            for (const statement of statements) thrownBy(() => tx.run(statement))
          }),
        ),
      )
    const twice = `INSERT OR ROLLBACK INTO invoices ("order") VALUES ('1')`
    const later = `INSERT INTO invoices ("order") VALUES ('2')`
    for (const statements of [[twice], [twice, later], [twice, 'BEGIN'], ['COMMIT', 'BEGIN'], ['COMMIT']]) {
      expect(deliver(statements), statements.join()).toMatchObject({ code: 'not-a-transaction' })
      db.run('DELETE FROM invoices')
      db.run('DELETE FROM outbox_inbox')
    }
    expect(deliver([])).toBe(true)
  })

  test('deliveries within a handler, of which one fails and is caught, are told apart', () => {
    const db = ready()
    const inbox = sqliteInbox({ db })
    const fails = (): never => {
      throw new Error('on purpose')
    }
    const ran = db.transaction((tx) =>
      inbox.once(tx, 'billing', 'm-1', () => {
        thrownBy(() => tx.transaction((inner) => inbox.once(inner, 'billing', 'm-2', fails)))
        thrownBy(() => inbox.once(tx, 'billing', 'm-3', fails))
        inbox.once(tx, 'billing', 'm-2', () => {})
      }),
    )
    expect(ran).toBe(true)
    expect(db.all('SELECT message_id FROM outbox_inbox ORDER BY 1')).toMatchObject([
      { message_id: 'm-1' },
      { message_id: 'm-2' },
      { message_id: 'm-3' },
    ])
  })

  test('handled messages are dated by the clock of the database, and forgotten in small steps', async () => {
    const db = ready()
    const inbox = sqliteInbox({ db })
    db.transaction((tx) => {
      for (let n = 0; n < 1200; n++) inbox.once(tx, 'billing', `m-${n}`, () => {})
    })
    expect(
      db.all('SELECT count(*) AS count FROM outbox_inbox WHERE abs(handled_at - unixepoch() * 1000) < 60000'),
    ).toEqual([{ count: 1200 }])
    expect(await inbox.purge({ olderThanMs: 3_600_000, limit: 2000 })).toBe(0)
    expect(await inbox.purge({ olderThanMs: 0, limit: 700 })).toBe(700)
    expect(await inbox.purge({ olderThanMs: 0, limit: 700 })).toBe(500)
  })

  test('a table without its key is an error, and no inbox that forgets', () => {
    const db = file.connect()
    db.run('CREATE TABLE outbox_inbox (consumer TEXT, message_id TEXT, handled_at INTEGER)')
    const once = (): unknown => db.transaction((tx) => sqliteInbox({ db }).once(tx, 'billing', 'm-1', () => {}))
    expect(once).toThrow('ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint')
  })

  function ready() {
    const db = file.connect()
    setupInbox(db)
    db.run(invoicesTable)
    return db
  }
})

describe('libsql', () => {
  test('the effect and the mark are committed together, on drizzle 0.45 and on 1.0', async () => {
    const db = await ready()
    const inbox = sqliteInbox({ db })
    const rc = drizzleRc({ client: db.$client })
    const inboxRc = sqliteInbox({ db: rc })
    const deliver = (): Promise<boolean> =>
      db.transaction((tx) =>
        inbox.once(tx, 'billing', 'm-1', async () => {
          await tx.insert(invoices).values({ order: '1' })
        }),
      )
    expect(await deliver()).toBe(true)
    expect(await deliver()).toBe(false)
    const deliverRc = (messageId: string): Promise<boolean> =>
      rc.transaction((tx) =>
        inboxRc.once(tx, 'billing', messageId, async () => {
          await tx.run(`INSERT INTO invoices ("order") VALUES ('2')`)
        }),
      )
    expect(await deliverRc('m-1')).toBe(false)
    expect(await deliverRc('m-2')).toBe(true)
    expect(await db.select().from(invoices)).toMatchObject([{ order: '1' }, { order: '2' }])
  })

  test('a transaction that ends under a handler, because nobody awaits, is told: the message counts as handled', async () => {
    const db = await ready()
    const inbox = sqliteInbox({ db })
    let endOfTransaction: () => void = () => undefined
    const ended = new Promise<void>((resolve) => {
      endOfTransaction = resolve
    })
    let once: Promise<unknown> = Promise.resolve()
    await db.transaction(async (tx) => {
      await new Promise<void>((started) => {
        once = inbox.once(tx, 'billing', 'm-1', async () => {
          started()
          await ended
        })
      })
    })
    endOfTransaction()
    const error = await once.catch((thrown: unknown) => thrown)
    expect(OutboxError.is(error, 'not-a-transaction') && error.message).toMatch(
      /^The transaction ended before the handler did, .* If it was committed, the message counts as handled;/,
    )
  })

  test('a handler that catches the error of a statement that rolled all back is told so', async () => {
    const db = await ready()
    await db.run('CREATE UNIQUE INDEX orders ON invoices ("order")')
    const inbox = sqliteInbox({ db })
    const delivery = db.transaction(async (tx) => {
      const once = inbox.once(tx, 'billing', 'm-1', async () => {
        await tx.insert(invoices).values({ order: '1' })
        await Promise.allSettled([tx.run(`INSERT OR ROLLBACK INTO invoices ("order") VALUES ('1')`)])
      })
      await expect(once).rejects.toMatchObject({ code: 'not-a-transaction' })
    })
    await expect(delivery).rejects.toThrow('TRANSACTION_CLOSED') // of libsql, at the commit
    expect(await db.all('SELECT * FROM outbox_inbox')).toEqual([])
  })

  test('of deliveries at once in deferred transactions each takes effect once or is told busy, and works when it is run again', async () => {
    const rc = drizzleRc({ client: (await ready()).$client })
    const inbox = sqliteInbox({ db: rc })
    const deliver = (n: number): Promise<boolean> =>
      rc.transaction((tx) => inbox.once(tx, 'billing', `m-${n}`, () => {}), { behavior: 'deferred' })
    const results = await Promise.allSettled(Array.from({ length: 12 }, (_, n) => deliver(n)))
    const handled = results.map((result) => result.status === 'fulfilled' && result.value)
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'busy' })
    }
    expect(new Set(handled)).toEqual(new Set([true, false]))
    for (const [n, wasHandled] of handled.entries()) expect(await deliver(n)).toBe(!wasHandled)
  })

  async function ready() {
    const db = file.connectLibsql()
    await db.run('PRAGMA journal_mode = WAL')
    await setupInbox(db)
    await db.run(invoicesTable)
    return db
  }
})

function thrownBy(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
