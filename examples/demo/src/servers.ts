import type { DemoOptions, StoreName } from './options.ts'
import { serveEmbeddedPostgres } from './stores/embedded-postgres.ts'

type Database = { readonly url: string } & AsyncDisposable

/** A database of the demo's own, dropped at the end; stores that are files need none. */
export async function createDatabase(store: StoreName, directory: string, run: string): Promise<Database | undefined> {
  switch (store) {
    case 'sqlite':
    case 'libsql':
      return undefined
    case 'pglite':
      return serveEmbeddedPostgres(directory)
    case 'postgres':
      return createPostgres(run)
    case 'mysql':
      return createMysql(process.env['MYSQL_URL'] ?? 'mysql://root@127.0.0.1:3306/test', run)
    case 'mariadb':
      return createMysql(process.env['MARIADB_URL'] ?? 'mysql://root@127.0.0.1:3306/test', run)
    case 'mongo':
      return createMongo(run)
  }
}

async function createPostgres(run: string): Promise<Database> {
  const { default: pg } = await import('pg')
  const base = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
  const name = `outbox_demo_${run}`
  const administer = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: base })
    await client.connect()
    try {
      await client.query(statement)
    } finally {
      await client.end()
    }
  }
  await administer(`create database ${name}`)
  return { url: withPath(base, name), [Symbol.asyncDispose]: () => administer(`drop database ${name} with (force)`) }
}

async function createMysql(base: string, run: string): Promise<Database> {
  const { createConnection } = await import('mysql2/promise')
  const name = `outbox_demo_${run}`
  const administer = async (statement: string): Promise<void> => {
    const connection = await createConnection(base)
    try {
      await connection.query(statement)
    } finally {
      await connection.end()
    }
  }
  await administer(`create database ${name}`)
  return { url: withPath(base, name), [Symbol.asyncDispose]: () => administer(`drop database ${name}`) }
}

/** The first write makes it. */
async function createMongo(run: string): Promise<Database> {
  const { MongoClient } = await import('mongodb')
  const url = withPath(
    process.env['MONGODB_URI'] ?? 'mongodb://127.0.0.1:27017/?directConnection=true',
    `outbox_demo_${run}`,
  )
  return {
    url,
    async [Symbol.asyncDispose]() {
      await using client = new MongoClient(url)
      await client.db().dropDatabase()
    },
  }
}

function withPath(base: string, name: string): string {
  const url = new URL(base)
  url.pathname = `/${name}`
  return url.href
}

export function brokerUrl({ broker }: DemoOptions): string {
  if (broker === 'redis') return process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379'
  if (broker === 'nats') return process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222'
  return ''
}
