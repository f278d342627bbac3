import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { versionOf } from './installed.ts'
import { answers, optionsFrom, rootUrl, type StartMysqlOptions, testSettings } from './mysql.ts'
import { launch, type OwnServer } from './own-server.ts'
import { unprivilegedUser } from './postgres.ts'
import { programOf } from './program-of.ts'

/** Starts a MariaDB of the test's own, user `root` without a password. */
export async function startMariadb({ settings, ...wanted }: StartMysqlOptions = {}): Promise<OwnServer> {
  const program = programOf('mariadb', wanted)
  const user = unprivilegedUser()
  const data = (directory: string) => `--datadir=${join(directory, 'data')}`
  return launch({
    title: 'MariaDB',
    version: versionOf(program),
    program,
    user,
    prepare: async (directory) => {
      const flags = ['--no-defaults', data(directory), '--auth-root-authentication-method=normal', '--skip-test-db']
      await execa(installerOf(program), flags, { cwd: directory, ...user })
    },
    programArguments: (port, directory) => [
      ...['--no-defaults', data(directory), `--port=${port}`, '--bind-address=127.0.0.1'],
      ...[`--socket=${join(directory, 'socket')}`, ...optionsFrom({ ...testSettings, ...settings })],
    ],
    url: rootUrl,
    answers: (port) => answers(rootUrl(port)),
    stopSignal: 'SIGTERM',
  })
}

/** The program that fills a new data folder: beside the server, or where the distribution puts it. */
function installerOf(program: string): string {
  const directory = dirname(realpathSync(program))
  const candidates = [directory, join(directory, '../bin'), join(directory, '../scripts')]
  const found = candidates.map((folder) => join(folder, 'mariadb-install-db')).find(existsSync)
  return found ?? 'mariadb-install-db'
}
