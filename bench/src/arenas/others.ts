import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMysqlDatabase, startMariadb, startMongo, startMysql } from '@outbox/services'
import type { Arena, Meter, Place } from '../arena.ts'
import { cpuMsOf } from '../cpu.ts'

/** Every round makes its database anew: these servers have no cheap copies. */
export async function mysqlArena(kind: 'mysql' | 'mariadb'): Promise<Arena> {
  const settings = { 'innodb-flush-log-at-trx-commit': '1' }
  const server =
    kind === 'mysql'
      ? await startMysql({ settings: { ...settings, 'sync-binlog': '1' } })
      : await startMariadb({ settings })
  return {
    description: `${server.title} ${server.version}: innodb_flush_log_at_trx_commit 1${kind === 'mysql' ? ', sync_binlog 1' : ', no binlog'}`,
    async place(_name, prepare) {
      const database = await createMysqlDatabase(server.url)
      await prepare(database.url)
      return database
    },
    meter: async () => cpuMeter(server),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

export async function mongoArena(): Promise<Arena> {
  const server = await startMongo({ isDurable: true })
  let count = 0
  return {
    description: `${server.title} (${server.version}): fsync on, majority`,
    async place(_name, prepare) {
      count += 1
      const url = new URL(server.url)
      url.pathname = `/round_${count}`
      await prepare(url.href)
      return { url: url.href, [Symbol.asyncDispose]: async () => undefined }
    },
    meter: async () => cpuMeter(server),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** A file each; what SQLite costs is the contestant's own CPU. */
export async function sqliteArena(): Promise<Arena> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-bench-'))
  const templates = new Map<string, string>()
  let count = 0
  return {
    description: 'SQLite, better-sqlite3: WAL, synchronous FULL',
    async place(name, prepare): Promise<Place> {
      const template = templates.get(name) ?? join(directory, `template-${templates.size}.db`)
      if (!templates.has(name)) {
        await writeFile(template, '') // a contestant that only publishes makes no database
        await prepare(template)
      }
      templates.set(name, template)
      count += 1
      const file = join(directory, `round-${count}.db`)
      await copyFile(template, file)
      return {
        url: file,
        async [Symbol.asyncDispose]() {
          await Promise.all(['', '-wal', '-shm'].map((end) => rm(file + end, { force: true })))
        },
      }
    },
    meter: async () => ({ read: async () => ({}), deadVersions: async () => undefined }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

function cpuMeter(server: { readonly directory: string }): Meter {
  const before = cpuMsOf(server)
  return {
    async read() {
      const now = cpuMsOf(server)
      return { cpuMs: now === undefined || before === undefined ? undefined : now - before }
    },
    deadVersions: async () => undefined,
  }
}
