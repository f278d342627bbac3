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
    [Symbol.asyncDispose]: () => drop(serverUrl, name),
  }
}

/**
 * A driver says that its pool is closed before the server knows, and a session that is cut off in between throws in the
 * test's process. So PostgreSQL first gets its own five seconds to see sessions end; then whoever is left is cut off.
 */
async function drop(serverUrl: string, name: string): Promise<void> {
  try {
    await run(serverUrl, `drop database if exists ${name}`)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === '55006')) throw error // object_in_use
    await run(serverUrl, `drop database if exists ${name} with (force)`)
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
