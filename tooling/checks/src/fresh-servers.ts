import { randomBytes } from 'node:crypto'
import {
  createDatabase,
  createMysqlDatabase,
  isAvailable,
  type OwnServer,
  type ServiceName,
  services,
  startMariadb,
  startMongo,
  startMysql,
  startNats,
  startPostgres,
  startRedis,
} from '@outbox/services'

/** Servers that nobody else has used, for one program. */
export interface FreshServers extends AsyncDisposable {
  /** the variables that name them */
  readonly env: Readonly<Record<string, string>>
}

/** Gives each program that asks servers, or databases on a server, of its own; disposing ends what is left. */
export interface ServerPool extends AsyncDisposable {
  /** @param text - a program, or what documents it: it gets the servers whose variables are named there */
  freshFor(text: string): Promise<FreshServers>
}

/**
 * Servers that a text names and that are not on this machine, with how to get them. With CI=true there are none: there
 * a missing server is a failure, and starting it says so.
 */
export function missingFor(text: string): string | undefined {
  if (process.env['CI'] === 'true') return undefined
  const missing = serviceNames.filter((name) => text.includes(services[name].variable) && !isAvailable(standIn(name)))
  if (missing.length === 0) return undefined
  return missing.map((name) => `LEFT OUT: ${services[name].title} is missing; ${services[name].howToGet}`).join('\n')
}

const serviceNames = ['postgres', 'mysql', 'mongo', 'redis', 'nats'] as const

/** MariaDB will do for MySQL. */
function standIn(name: ServiceName): ServiceName {
  return name === 'mysql' && !isAvailable('mysql') ? 'mariadb' : name
}

type Fresh = { readonly url: string } & AsyncDisposable

/** Nothing is started before it is asked for. Database servers, which are slow to start, are shared. */
export function startServerPool(): ServerPool {
  const shared = new Map<string, Promise<OwnServer>>()
  const once = (name: string, start: () => Promise<OwnServer>): Promise<OwnServer> => {
    const running = shared.get(name) ?? start()
    shared.set(name, running)
    return running
  }
  const startMysqlOrMariadb = () => (standIn('mysql') === 'mysql' ? startMysql() : startMariadb())
  const makers: Readonly<Record<(typeof serviceNames)[number], () => Promise<Fresh>>> = {
    postgres: async () => createDatabase((await once('postgres', startPostgres)).url),
    mysql: async () => createMysqlDatabase((await once('mysql', startMysqlOrMariadb)).url),
    mongo: async () => mongoDatabase((await once('mongo', startMongo)).url),
    redis: startRedis,
    nats: startNats,
  }
  return {
    freshFor: async (text) => {
      await using starting = new AsyncDisposableStack()
      const env: Record<string, string> = {}
      for (const name of serviceNames) {
        const { variable } = services[name]
        if (text.includes(variable)) env[variable] = starting.use(await makers[name]()).url
      }
      const servers = starting.move()
      return { env, [Symbol.asyncDispose]: () => servers.disposeAsync() }
    },
    async [Symbol.asyncDispose]() {
      const results = await Promise.allSettled(shared.values())
      // one that did not start has told whoever asked for it, and holds nothing
      const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    },
  }
}

/** A name is enough: the database is made by the first write, and goes with its server. */
function mongoDatabase(serverUrl: string): Fresh {
  const url = new URL(serverUrl)
  url.pathname = `/example_${randomBytes(6).toString('hex')}`
  return { url: url.href, [Symbol.asyncDispose]: async () => undefined }
}
