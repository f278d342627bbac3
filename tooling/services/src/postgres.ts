import { execFileSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { Client } from 'pg'
import { versionOf, type Wanted } from './installed.ts'
import { launch, type OwnServer } from './own-server.ts'
import { programOf } from './program-of.ts'

export interface StartPostgresOptions extends Wanted {
  /** settings, such as `{ default_transaction_isolation: 'serializable' }` */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * Without fsync a killed server loses nothing, only a machine that stops does; tests kill servers alone.
 * Connections are many because several test files share one server.
 */
const testSettings = { fsync: 'off', full_page_writes: 'off', max_connections: '300', shared_buffers: '64MB' }

/** Starts a PostgreSQL of the test's own, user `postgres` without a password, database `postgres`. */
export async function startPostgres({ settings, ...wanted }: StartPostgresOptions = {}): Promise<OwnServer> {
  const program = programOf('postgres', wanted)
  const user = process.getuid?.() === 0 ? unprivilegedUser() : undefined
  const data = (directory: string) => join(directory, 'data')
  const url = (port: number) => `postgres://postgres@127.0.0.1:${port}/postgres`
  return launch({
    title: 'PostgreSQL',
    version: versionOf(program),
    program,
    user,
    prepare: async (directory) => {
      const initdb = join(dirname(realpathSync(program)), 'initdb')
      const flags = ['-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--locale=C', '--no-sync', '-D', data(directory)]
      await execa(initdb, flags, { cwd: directory, ...user })
    },
    programArguments: (port, directory) => [
      ...['-D', data(directory), '-p', String(port), '-c', 'listen_addresses=127.0.0.1'],
      ...['-c', 'unix_socket_directories='],
      ...Object.entries({ ...testSettings, ...settings }).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ],
    url,
    answers: (port) => answers(url(port)),
    // "fast": open transactions are rolled back, connections closed
    stopSignal: 'SIGINT',
  })
}

/** PostgreSQL refuses to run as root. */
function unprivilegedUser(): { readonly uid: number; readonly gid: number } {
  const id = (flag: string, name: string) =>
    Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: id('-u', name), gid: id('-g', name) }
    } catch {
      // no such user here: the next one will do
    }
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody.')
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 1000 })
  // a connection that breaks while it idles reports here as well; the query below tells enough
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch {
    // refused, or still starting up: not yet
    return false
  } finally {
    await client.end()
  }
}
