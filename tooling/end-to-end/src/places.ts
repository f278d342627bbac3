import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serveEmbeddedPostgres } from '@outbox/example-demo/embedded-postgres'
import { createMysqlDatabase, freshDatabase, sharedMariadb, sharedMongo, sharedMysql } from '@outbox/services'
import { MongoClient } from 'mongodb'
import type { StoreName } from './stores.ts'

/** A database of one test's own; disposing removes it. */
export interface Place extends AsyncDisposable {
  readonly url: string
}

/**
 * Makes a place for each store, in the process of the test. Apart from the stores, as this loads every server's client,
 * and other processes are started by the hundred.
 */
export const places: Readonly<Record<StoreName, () => Promise<Place>>> = {
  postgres: freshDatabase,
  'postgres-log': freshDatabase,
  'postgres-js': freshDatabase,
  pglite: embeddedPostgres,
  sqlite: databaseFile,
  libsql: databaseFile,
  mysql: async () => createMysqlDatabase(await sharedMysql()),
  mariadb: async () => createMysqlDatabase(await sharedMariadb()),
  mongo: mongoDatabase,
}

async function mongoDatabase(): Promise<Place> {
  const url = new URL(await sharedMongo())
  url.pathname = `/outbox_test_${randomBytes(6).toString('hex')}`
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      await using client = new MongoClient(url.href)
      await client.db().dropDatabase()
    },
  }
}

async function databaseFile(): Promise<Place> {
  const directory = await freshDirectory()
  return { url: join(directory.path, 'shop.db'), [Symbol.asyncDispose]: directory[Symbol.asyncDispose] }
}

/** PGlite belongs to one process, this one; the others reach it through a socket. */
async function embeddedPostgres(): Promise<Place> {
  const directory = await freshDirectory()
  const server = await serveEmbeddedPostgres(directory.path)
  return {
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

/** Disposing removes it. */
export async function freshDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'outbox-store-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
