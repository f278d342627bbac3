import { startPostgres, waitFor } from '@outbox/services'
import pg from 'pg'
import type { Arena, Meter, Place } from '../arena.ts'
import { cpuMsOf } from '../cpu.ts'

/** What a distribution's server has, as against the one that tests use. */
const durable = { fsync: 'on', full_page_writes: 'on', shared_buffers: '128MB', max_connections: '100' }

export interface PostgresArenaOptions {
  /** further servers whose CPU counts, such as a broker's */
  readonly also?: readonly { readonly directory: string }[]
  /** beside those of a durable server; they are described with them */
  readonly settings?: Readonly<Record<string, string>>
}

/** A PostgreSQL of the benchmark's own with default, durable settings. */
export async function postgresArena({ also = [], settings = {} }: PostgresArenaOptions = {}): Promise<Arena> {
  const server = await startPostgres({ settings: { ...durable, ...settings } })
  const admin = new pg.Client(server.url)
  await admin.connect()
  const templates = new Map<string, string>()
  const urlOf = (database: string): string => server.url.replace(/\/postgres$/, `/${database}`)
  let count = 0

  const templateOf = async (name: string, prepare: (url: string) => Promise<void>): Promise<string> => {
    const known = templates.get(name)
    if (known !== undefined) return known
    const template = `template_${templates.size}`
    await admin.query(`create database ${template}`)
    await prepare(urlOf(template))
    await onceIn(urlOf(template), 'vacuum analyze')
    templates.set(name, template)
    return template
  }

  return {
    description: await describe(admin, Object.keys(settings)),
    async place(name, prepare): Promise<Place> {
      const template = await templateOf(name, prepare)
      count += 1
      const database = `round_${count}`
      await admin.query(`create database ${database} template ${template} strategy file_copy`)
      await admin.query('checkpoint')
      return {
        url: urlOf(database),
        async [Symbol.asyncDispose]() {
          // a driver's "closed" comes before the server's
          await waitFor(async () => (await admin.query(connected, [database])).rowCount === 0, {
            what: `the connections to ${database} to end`,
          })
          await admin.query(`drop database ${database}`)
        },
      }
    },
    async meter({ url }): Promise<Meter> {
      const cpuBefore = cpuMsOf(server, ...also)
      const { rows } = await admin.query('select pg_current_wal_insert_lsn() as lsn')
      const lsn: unknown = rows[0]?.lsn
      const deadBefore = await leftForVacuum(url)
      return {
        async read() {
          const cpuMs = cpuMsOf(server, ...also)
          const wal = await admin.query('select pg_current_wal_insert_lsn() - $1::pg_lsn as bytes', [lsn])
          return {
            cpuMs: cpuMs === undefined || cpuBefore === undefined ? undefined : cpuMs - cpuBefore,
            walBytes: Number(wal.rows[0]?.bytes),
          }
        },
        deadVersions: async () => (await leftForVacuum(url)) - deadBefore,
      }
    },
    async [Symbol.asyncDispose]() {
      await admin.end()
      await server[Symbol.asyncDispose]()
    },
  }
}

const connected = `select from pg_stat_activity where datname = $1 and backend_type = 'client backend'`

async function describe(admin: pg.Client, more: readonly string[]): Promise<string> {
  const settings = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'wal_level', ...more]
  const { rows } = await admin.query('select name, setting, unit from pg_settings where name = any($1) order by name', [
    settings,
  ])
  const { rows: versions } = await admin.query('show server_version')
  const list = rows.map(({ name, setting, unit }) => `${name} ${setting}${unit ? ` × ${unit}` : ''}`)
  return `PostgreSQL ${versions[0]?.server_version}: ${list.join(', ')}`
}

/**
 * Row versions that a vacuum has to clear away, whether or not one has come by since: every delete leaves one, and every
 * update but those that stay within their page (HOT), whose versions the next visitor of the page clears.
 */
async function leftForVacuum(url: string): Promise<number> {
  const [row] = await onceIn(
    url,
    'select coalesce(sum(n_tup_upd - n_tup_hot_upd + n_tup_del), 0)::float8 as n from pg_stat_user_tables',
  )
  return Number(row?.['n'])
}

async function onceIn(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
