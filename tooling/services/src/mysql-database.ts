import { randomBytes } from 'node:crypto'
import { createConnection } from 'mysql2/promise'
import type { TestDatabase } from './database.ts'

/** Creates an empty database on the MySQL or MariaDB at `serverUrl`, as a user who may create databases. */
export async function createMysqlDatabase(serverUrl: string): Promise<TestDatabase> {
  const name = `outbox_test_${randomBytes(6).toString('hex')}`
  await run(serverUrl, `create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return {
    name,
    url: url.href,
    [Symbol.asyncDispose]: () => run(serverUrl, `drop database if exists ${name}`),
  }
}

async function run(url: string, statement: string): Promise<void> {
  const connection = await createConnection(url)
  try {
    await connection.query(statement)
  } finally {
    await connection.end()
  }
}
