import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { places } from '@outbox/end-to-end/places'
import type { StoreName } from '@outbox/end-to-end/stores'
import {
  createMysqlDatabase,
  type OwnServer,
  startMariadb,
  startMongo,
  startMysql,
  startPostgres,
} from '@outbox/services'
import { execa } from 'execa'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import pg from 'pg'

/** A database that may be broken. */
export interface DatabaseServer extends AsyncDisposable {
  readonly url: string
  /** undefined: a file, or a database in this process */
  readonly server: OwnServer | undefined
  /** new transactions may not write; undefined: it has no such state, or its owner is above it */
  readonly setReadOnly: ((isReadOnly: boolean) => Promise<void>) | undefined
  /** the server's own folder of data, for a copy */
  readonly dataDirectory: string | undefined
  /** a reader that goes on seeing what there is now, until it is disposed; undefined: nothing is known of such */
  readonly holdSnapshot: (() => Promise<AsyncDisposable>) | undefined
  /** every statement about entries waits until this is disposed; undefined: it has no such lock */
  readonly lockTables: (() => Promise<TableLock>) | undefined
}

export interface TableLock extends AsyncDisposable {
  /** how many statements wait for it */
  waiting(): Promise<number>
}

/** Stores whose server can be killed, and reached through a proxy. */
export const storesWithServers: ReadonlySet<StoreName> = new Set([
  'postgres',
  'postgres-log',
  'postgres-js',
  'mysql',
  'mariadb',
  'mongo',
] as const)
export const storesWithReadOnly: ReadonlySet<StoreName> = new Set([
  'postgres',
  'postgres-log',
  'postgres-js',
  'mysql',
  'mariadb',
] as const)
export const storesWithLocks: ReadonlySet<StoreName> = new Set([
  'postgres',
  'postgres-log',
  'postgres-js',
  'mysql',
  'mariadb',
] as const)
export const storesWithData: ReadonlySet<StoreName> = new Set([
  'postgres',
  'postgres-log',
  'postgres-js',
  'mariadb',
] as const)

/** @param environment - added to the server's own; only PostgreSQL takes one */
export async function startDatabase(
  store: StoreName,
  environment: Readonly<Record<string, string>> = {},
): Promise<DatabaseServer> {
  switch (store) {
    case 'postgres':
    case 'postgres-log':
    case 'postgres-js': {
      const server = await startPostgres({ settings: { fsync: 'on' }, environment })
      return onServer(server, server.url, {
        setReadOnly: (isReadOnly) => setPostgresReadOnly(server.url, isReadOnly),
        dataDirectory: join(server.directory, 'data'),
        holdSnapshot: () => holdPostgresSnapshot(server.url),
        lockTables: () => lockPostgresTables(server.url, store === 'postgres-log' ? 'outbox_log' : 'outbox_entries'),
      })
    }
    case 'mysql': {
      const server = await startMysql()
      const { url } = await createMysqlDatabase(server.url)
      return onServer(server, url, {
        setReadOnly: (isReadOnly) =>
          onMysql(
            server.url,
            `set global super_read_only = ${isReadOnly ? 'on' : 'off'}`,
            `set global read_only = ${isReadOnly ? 'on' : 'off'}`,
          ),
        holdSnapshot: () => holdMysqlSnapshot(url),
        lockTables: () => lockMysqlTables(url),
      })
    }
    case 'mariadb': {
      const server = await startMariadb()
      const database = await createMysqlDatabase(server.url)
      const url = await asOwnUser(server.url, database)
      return onServer(server, url, {
        setReadOnly: (isReadOnly) => onMysql(server.url, `set global read_only = ${isReadOnly ? 'on' : 'off'}`),
        dataDirectory: join(server.directory, 'data'),
        holdSnapshot: () => holdMysqlSnapshot(url),
        lockTables: () => lockMysqlTables(url),
      })
    }
    case 'mongo': {
      const server = await startMongo({ isDurable: true })
      // a driver that discovers the members of a replica set would go past the proxy
      return onServer(server, `mongodb://127.0.0.1:${server.port}/shop?directConnection=true`)
    }
    case 'sqlite':
    case 'libsql':
    case 'pglite': {
      const place = await places[store]()
      return {
        ...without,
        url: place.url,
        server: undefined,
        [Symbol.asyncDispose]: async () => void (await place[Symbol.asyncDispose]()),
      }
    }
  }
}

const without = {
  setReadOnly: undefined,
  dataDirectory: undefined,
  holdSnapshot: undefined,
  lockTables: undefined,
} as const

function onServer(
  server: OwnServer,
  url: string,
  abilities: Partial<Pick<DatabaseServer, keyof typeof without>> = {},
): DatabaseServer {
  return {
    ...without,
    ...abilities,
    url,
    server,
    [Symbol.asyncDispose]: async () => void (await server[Symbol.asyncDispose]()),
  }
}

async function setPostgresReadOnly(url: string, isReadOnly: boolean): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('set default_transaction_read_only = off')
    await client.query(`alter system set default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`)
    await client.query('select pg_reload_conf()')
  } finally {
    await client.end()
  }
}

async function holdPostgresSnapshot(url: string): Promise<AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('begin isolation level repeatable read')
  await client.query('select count(*) from outbox_entries')
  return { [Symbol.asyncDispose]: () => client.end() }
}

async function lockPostgresTables(url: string, entries: 'outbox_entries' | 'outbox_log'): Promise<TableLock> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('begin')
  await client.query(`lock table ${entries}, committed in access exclusive mode`)
  return {
    async waiting() {
      const { rowCount } = await client.query(`select from pg_stat_activity where wait_event_type = 'Lock'`)
      return rowCount ?? 0
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}

async function lockMysqlTables(url: string): Promise<TableLock> {
  const connection = await createConnection(url)
  await connection.query('lock tables outbox_entries write, committed write')
  return {
    async waiting() {
      const [rows] = await connection.query<RowDataPacket[]>('show processlist')
      return rows.filter(({ State }) => String(State).startsWith('Waiting for table')).length
    },
    [Symbol.asyncDispose]: () => connection.end(),
  }
}

async function onMysql(url: string, ...statements: readonly string[]): Promise<void> {
  const connection = await createConnection(url)
  for (const statement of statements) await connection.query(statement)
  await connection.end()
}

/** The database's URL for a user who is not above `read_only`, as root is. */
async function asOwnUser(
  serverUrl: string,
  { name, url }: { readonly name: string; readonly url: string },
): Promise<string> {
  await onMysql(serverUrl, 'create user shop', `grant all on ${name}.* to shop`)
  const own = new URL(url)
  own.username = 'shop'
  return own.href
}

async function holdMysqlSnapshot(url: string): Promise<AsyncDisposable> {
  const connection = await createConnection(url)
  await connection.query('start transaction with consistent snapshot')
  await connection.query('select count(*) from outbox_entries')
  return { [Symbol.asyncDispose]: () => connection.end() }
}

/** Copies the data of a stopped server, and later puts the copy in the place of what came after. */
export async function snapshotOf(directory: string): Promise<{ readonly restore: () => Promise<void> }> {
  const copy = `${directory}-copy`
  // owners and modes as well: the server may run as somebody else
  await execa('cp', ['-a', directory, copy])
  return {
    async restore() {
      await rm(directory, { recursive: true, force: true })
      await rename(copy, directory)
    },
  }
}
