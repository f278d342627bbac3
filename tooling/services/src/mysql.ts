import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { execa } from 'execa'
import { createConnection } from 'mysql2/promise'
import { versionOf, type Wanted } from './installed.ts'
import { launch, type OwnServer } from './own-server.ts'
import { unprivilegedUser } from './postgres.ts'
import { programOf } from './program-of.ts'

export interface StartMysqlOptions extends Wanted {
  /** options of the server, such as `{ 'sql-mode': '' }` */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * Without fsync a killed server loses nothing, only a machine that stops does; tests kill servers alone.
 * Connections are many because several test files share one server.
 */
export const testSettings: Readonly<Record<string, string>> = {
  'innodb-flush-log-at-trx-commit': '2',
  'max-connections': '300',
  'skip-name-resolve': 'ON',
}

const mysqlSettings = { 'sync-binlog': '0' }

/** Starts a MySQL of the test's own, user `root` without a password. */
export async function startMysql({ settings, ...wanted }: StartMysqlOptions = {}): Promise<OwnServer> {
  const program = programOf('mysql', wanted)
  const options = optionsFrom({ ...testSettings, ...mysqlSettings, ...settings })
  const plan = isLauncher(program) ? launcherPlan(options) : serverPlan(program, options)
  return launch({
    title: 'MySQL',
    version: versionOf(program),
    program,
    ...plan,
    url: rootUrl,
    answers: (port) => answers(rootUrl(port)),
    stopSignal: 'SIGTERM',
  })
}

type Plan = Pick<Parameters<typeof launch>[0], 'programArguments' | 'prepare' | 'user'>

/** A launcher makes the data folder itself: `--port N --dir D -- OPTION…`. */
function isLauncher(program: string): boolean {
  return execFileSync(program, ['--help'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).includes('--dir ')
}

function launcherPlan(options: readonly string[]): Plan {
  return { programArguments: (port, directory) => ['--port', String(port), '--dir', directory, '--', ...options] }
}

function serverPlan(program: string, options: readonly string[]): Plan {
  const user = unprivilegedUser()
  const data = (directory: string) => ['--no-defaults', `--datadir=${join(directory, 'data')}`]
  return {
    user,
    prepare: async (directory) => {
      await execa(program, [...data(directory), '--initialize-insecure'], { cwd: directory, ...user })
    },
    programArguments: (port, directory) => [
      ...[...data(directory), `--port=${port}`, '--bind-address=127.0.0.1', '--mysqlx=OFF'],
      ...[`--socket=${join(directory, 'socket')}`, ...options],
    ],
  }
}

export function optionsFrom(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).map(([key, value]) => `--${key}=${value}`)
}

export function rootUrl(port: number): string {
  return `mysql://root@127.0.0.1:${port}/mysql`
}

export async function answers(url: string): Promise<boolean> {
  try {
    const connection = await createConnection({ uri: url, connectTimeout: 1000 })
    // a connection that breaks while it idles reports here as well; the query below tells enough
    connection.on('error', () => {})
    await connection.query('select 1')
    await connection.end()
    return true
  } catch {
    // refused, or still starting up: not yet
    return false
  }
}
