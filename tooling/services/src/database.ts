import { randomBytes } from 'node:crypto'
import { Client } from 'pg'

/** A database of one test's own on a shared server; disposing drops it, whoever is still connected. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  readonly url: string
}

/**
 * Creates an empty database on the PostgreSQL at `serverUrl`, as a user who may create databases.
 *
 * @param options - of `create database`, such as `template template0 locale_provider icu icu_locale 'sv'`
 */
export async function createDatabase(serverUrl: string, options = ''): Promise<TestDatabase> {
  const name = `outbox_test_${randomBytes(6).toString('hex')}`
  await run(serverUrl, `create database ${name} ${options}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return {
    name,
    url: url.href,
    [Symbol.asyncDispose]: () => run(serverUrl, `drop database if exists ${name} with (force)`),
  }
}

async function run(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
