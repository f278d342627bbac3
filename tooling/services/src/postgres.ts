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
  /** added to the environment of the server */
  readonly environment?: Readonly<Record<string, string>>
}

/**
 * Without fsync a killed server loses nothing, only a machine that stops does; tests kill servers alone.
 * Connections are many because several test files share one server.
 */
const testSettings = { fsync: 'off', full_page_writes: 'off', max_connections: '300', shared_buffers: '64MB' }

/** Starts a PostgreSQL of the test's own, user `postgres` without a password, database `postgres`. */
export async function startPostgres({
  settings,
  environment,
  ...wanted
}: StartPostgresOptions = {}): Promise<OwnServer> {
  const flags = ['-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--locale=C', '--no-sync']
  return start(programOf('postgres', wanted), { settings, environment }, 'initdb', flags)
}

/**
 * Starts a hot standby of a primary that `startPostgres` started: it follows it, answers reads, and refuses writes until
 * `select pg_promote()` makes it a primary.
 */
export async function startPostgresStandby(
  primary: OwnServer,
  { settings, environment, ...wanted }: StartPostgresOptions = {},
): Promise<OwnServer> {
  const from = ['-h', primary.host, '-p', String(primary.port), '-U', 'postgres']
  const flags = [...from, '--checkpoint=fast', '--write-recovery-conf', '--no-sync']
  return start(programOf('postgres', wanted), { settings, environment }, 'pg_basebackup', flags)
}

/** @param maker - the program beside the server's that makes its data directory */
async function start(
  program: string,
  { settings, environment }: { readonly [Key in 'settings' | 'environment']: StartPostgresOptions[Key] | undefined },
  maker: 'initdb' | 'pg_basebackup',
  flags: readonly string[],
): Promise<OwnServer> {
  const user = unprivilegedUser()
  const data = (directory: string) => join(directory, 'data')
  const url = (port: number) => `postgres://postgres@127.0.0.1:${port}/postgres`
  return launch({
    title: 'PostgreSQL',
    version: versionOf(program),
    program,
    user,
    prepare: async (directory) => {
      await execa(join(dirname(realpathSync(program)), maker), [...flags, '-D', data(directory)], {
        cwd: directory,
        ...user,
      })
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
    ...(environment && { environment }),
  })
}

/** Whom to run as, where this process is root: PostgreSQL refuses that, and so does PgBouncer. */
export function unprivilegedUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
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

/** Whether a server of PostgreSQL's protocol answers a query. */
export async function answers(url: string): Promise<boolean> {
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
