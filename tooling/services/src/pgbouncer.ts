import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { versionOf, type Wanted } from './installed.ts'
import { launch, type OwnServer } from './own-server.ts'
import { answers, unprivilegedUser } from './postgres.ts'
import { programOf } from './program-of.ts'
import { sharedServer } from './shared.ts'

export interface StartPgBouncerOptions extends Wanted {
  /** URL of the PostgreSQL behind it; default: the shared one */
  readonly to?: string
  /** default `transaction` */
  readonly poolMode?: 'session' | 'transaction'
}

/** Starts a PgBouncer of the test's own in front of a PostgreSQL. Its URL names the database that `to` names. */
export async function startPgBouncer({ to, poolMode, ...wanted }: StartPgBouncerOptions = {}): Promise<OwnServer> {
  const program = programOf('pgbouncer', wanted)
  const target = new URL(to ?? (await sharedServer('postgres')))
  const user = unprivilegedUser()
  const configuration = (directory: string) => join(directory, 'pgbouncer.ini')
  const url = (port: number) => `postgres://postgres@127.0.0.1:${port}${target.pathname}`
  return launch({
    title: 'PgBouncer',
    version: versionOf(program),
    program,
    user,
    prepare: async (directory, port) => {
      const host = `host=${target.hostname} port=${target.port || 5432}`
      // it takes an empty password for a mistake
      const password = target.password && ` password='${decodeURIComponent(target.password)}'`
      const login = `user=${target.username || 'postgres'}${password}`
      const lines = [
        ...['[databases]', `* = ${host} ${login}`],
        ...['[pgbouncer]', 'listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir =', 'auth_type = any'],
        ...[`pool_mode = ${poolMode ?? 'transaction'}`, 'default_pool_size = 4', 'logfile ='],
      ]
      await writeFile(configuration(directory), `${lines.join('\n')}\n`)
      if (user) await chown(configuration(directory), user.uid, user.gid)
    },
    programArguments: (_, directory) => [configuration(directory)],
    url,
    answers: (port) => answers(url(port)),
    stopSignal: 'SIGINT',
  })
}
