import { closeSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { type Client, createClient } from '@libsql/client'
import { event, type OneOrMany, type Receipt } from '@outbox/core'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzleLibsql } from 'drizzle-orm/libsql'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type LibsqlOutbox, type SqliteOutbox, setup, sqliteOutbox } from '../src/sqlite/index.ts'
import { newFile, type TestFile } from './sqlite-files.ts'

type Events = OneOrMany<ReturnType<typeof order>>

/** One connection, and the outbox on it, whichever the driver. */
interface Opened {
  readonly outbox: SqliteOutbox | LibsqlOutbox
  enqueue(events: Events): Promise<readonly Receipt[]>
  /** enqueues twice in one transaction; what the first throws is caught and given back */
  enqueueAfterFailure(failing: Events, then: Events): Promise<unknown>
  pragma(text: string): Promise<unknown>
  setup(): void | Promise<void>
  /** reads, and keeps the transaction open until the function that it gives is called */
  read(): Promise<() => Promise<unknown>>
  close(): void
}

const drivers: Readonly<Record<string, (path: string) => Opened>> = {
  'better-sqlite3'(path) {
    const client = new Database(path)
    const db = drizzle({ client })
    const outbox = sqliteOutbox({ db, maxWaitMs: 20 })
    return {
      outbox,
      enqueue: async (events) => db.transaction((tx) => outbox.enqueue(tx, events)),
      enqueueAfterFailure: async (failing, then) =>
        db.transaction((tx) => {
          try {
            return outbox.enqueue(tx, failing)
          } catch (error) {
            outbox.enqueue(tx, then)
            return error
          }
        }),
      pragma: async (text) => client.pragma(text),
      setup: () => setup(db),
      async read() {
        client.exec('BEGIN; SELECT * FROM outbox_relays')
        return async () => client.exec('COMMIT')
      },
      close: () => client.close(),
    }
  },
  libsql(path) {
    const client: Client = createClient({ url: `file:${path}`, concurrency: 1 })
    const db = drizzleLibsql({ client })
    const outbox = sqliteOutbox({ db, maxWaitMs: 20 })
    return {
      outbox,
      enqueue: (events) => db.transaction((tx) => outbox.enqueue(tx, events)),
      enqueueAfterFailure: (failing, then) =>
        db.transaction(async (tx) => {
          const error: unknown = await outbox.enqueue(tx, failing).catch((thrown: unknown) => thrown)
          await outbox.enqueue(tx, then)
          return error
        }),
      pragma: (text) => client.execute(`PRAGMA ${text}`),
      setup: () => setup(db),
      async read() {
        const transaction = await client.transaction('deferred')
        await transaction.execute('SELECT * FROM outbox_relays')
        return () => transaction.commit()
      },
      close: () => client.close(),
    }
  },
}

describe.each(Object.keys(drivers))('%s', (driver) => {
  let file: TestFile
  let opened: Opened

  beforeEach(async () => {
    file = newFile()
    opened = open()
    await opened.pragma('journal_mode = WAL')
    await opened.setup()
  })
  afterEach(() => {
    opened.close()
    file.remove()
  })

  function open(): Opened {
    const openDriver = drivers[driver]
    if (!openDriver) throw new Error(`${driver} is no driver`)
    return openDriver(file.path)
  }

  test('who may not write is told so, and reads on', async () => {
    await opened.enqueue(order(1))
    await opened.pragma('query_only = ON')
    await expect(opened.outbox.join({ holder: 'relay' })).rejects.toMatchObject({
      code: 'unavailable',
      message: 'The database file cannot be written: look at its rights and its directory. (SQLITE_READONLY)',
    })
    await expect(opened.outbox.check()).rejects.toMatchObject({
      code: 'setup-required',
      details: { missing: ['the right to write'] },
    })
    expect(await opened.outbox.fetchUnpublished(10)).toHaveLength(1)
  })

  test('a full disk is told as such: the batch is written whole or not at all, and all goes on when there is room', async () => {
    await opened.pragma('max_page_count = 60')
    const full = { code: 'unavailable', message: 'The disk of the database file is full. (SQLITE_FULL)' }
    await expect(opened.enqueue(orders(500))).rejects.toMatchObject(full)
    expect((await opened.outbox.stats()).pending).toBe(0)
    expect(await opened.enqueueAfterFailure(orders(500), order(1))).toMatchObject(full)
    expect((await opened.outbox.stats()).pending).toBe(1)
    await opened.pragma('max_page_count = 1000000')
    expect(await opened.enqueue(orders(500))).toHaveLength(500)
    expect((await opened.outbox.stats()).pending).toBe(501)
  })

  test('a damaged file is told as such, and no message names its path', async () => {
    await opened.enqueue(orders(300))
    await opened.pragma('wal_checkpoint(TRUNCATE)')
    opened.close()
    const { size } = statSync(file.path)
    const descriptor = openSync(file.path, 'r+')
    writeSync(descriptor, Buffer.alloc(size - 4096, 0x5a), 0, size - 4096, 4096)
    closeSync(descriptor)
    opened = open()
    const error: unknown = await opened.outbox.stats().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^The database file is damaged/),
    })
    expect(String(error)).not.toContain(file.path)
  })

  test('what is no database is told as such', async () => {
    const text = `${file.path}.txt`
    writeFileSync(text, 'Once upon a time there was a text that was no database. '.repeat(100))
    const openDriver = drivers[driver]
    const stats = async (): Promise<unknown> => openDriver?.(text).outbox.stats()
    // a driver may look at the file as it opens it
    await expect(stats()).rejects.toMatchObject({ code: expect.stringMatching(/^(unavailable|SQLITE_NOTADB)$/) })
  })

  describe('without WAL', () => {
    beforeEach(async () => {
      await opened.pragma('journal_mode = DELETE')
    })

    test('entries are enqueued, lent and settled', async () => {
      await opened.enqueue(orders(3))
      await opened.outbox.join({ holder: 'relay' })
      const { leases: claims } = await opened.outbox.poll({ holder: 'relay' })
      const leases = await opened.outbox.acquire({ holder: 'relay', claims, evict: [] })
      const entries = await opened.outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 10_000 })
      expect(entries).toHaveLength(3)
      await opened.outbox.settle({ leases, settlements: entries.map((entry) => ({ entry, outcome: 'published' })) })
      expect(await opened.outbox.fetchUnpublished(10)).toEqual([])
    })

    test('a reader holds up the commit of a relay, which is told busy, leaves nothing, and works when it is gone', async () => {
      await opened.outbox.stats()
      await opened.pragma('busy_timeout = 0')
      const reader = open()
      const readToTheEnd = await reader.read()
      await expect(opened.outbox.join({ holder: 'relay' })).rejects.toMatchObject({ code: 'busy', isRetryable: true })
      await readToTheEnd()
      await opened.outbox.join({ holder: 'relay' })
      const { relays } = await reader.outbox.poll({ holder: 'relay' })
      expect(relays).toEqual([{ holder: 'relay', beat: 1 }])
      reader.close()
    })

    test('a file that was deleted under the connection takes no entry', async () => {
      await opened.outbox.stats()
      rmSync(file.path)
      await expect(opened.enqueue(order(1))).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('was deleted or moved while it was open'),
      })
    })
  })
})

test('of a server that cannot be reached no message shows the token', async () => {
  for (const url of ['http://127.0.0.1:9', 'ws://127.0.0.1:9']) {
    const client = createClient({ url, authToken: 'top-secret' })
    const error: unknown = await sqliteOutbox({ db: drizzleLibsql({ client }) })
      .check()
      .catch((thrown: unknown) => thrown)
    client.close()
    expect(error).toMatchObject({ code: 'unavailable', isRetryable: true })
    for (let current = error; current instanceof Error; current = current.cause) {
      expect(`${current.stack} ${JSON.stringify(current)}`).not.toContain('top-secret')
    }
  }
})

function order(n: number) {
  return event('order.placed', { aggregateId: `${n}`, payload: { text: 'x'.repeat(500) } })
}

function orders(count: number) {
  return Array.from({ length: count }, (_, n) => order(n))
}
