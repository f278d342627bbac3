import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { serveEmbeddedPostgres } from '@outbox/example-demo/embedded-postgres'
import { createMysqlDatabase, sharedMariadb, sharedMongo, sharedMysql } from '@outbox/services'
import { MongoClient } from 'mongodb'
import { freshDirectory } from './stores.ts'

export { freshDatabase } from '@outbox/services'

/** A database of one test's own; disposing removes it. */
export interface Place extends AsyncDisposable {
  readonly url: string
}

export async function mysqlDatabase(): Promise<Place> {
  return createMysqlDatabase(await sharedMysql())
}

export async function mariadbDatabase(): Promise<Place> {
  return createMysqlDatabase(await sharedMariadb())
}

export async function mongoDatabase(): Promise<Place> {
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

export async function databaseFile(): Promise<Place> {
  const directory = await freshDirectory()
  return { url: join(directory.path, 'shop.db'), [Symbol.asyncDispose]: directory[Symbol.asyncDispose] }
}

/** PGlite belongs to one process, this one; the others reach it through a socket. */
export async function embeddedPostgres(): Promise<Place> {
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
