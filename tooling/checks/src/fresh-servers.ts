import { createDatabase, startNats, startPostgres, startRedis } from '@outbox/services'

/** Servers that nobody else has used, for one program. */
export interface FreshServers extends AsyncDisposable {
  /** the variables that name them */
  readonly env: Readonly<Record<string, string>>
}

/** Gives each program that asks a fresh database, Redis and NATS server; disposing ends what is left. */
export interface ServerPool extends AsyncDisposable {
  fresh(): Promise<FreshServers>
}

/** Starts the PostgreSQL that the databases live on; it takes a second or two, the rest starts in no time. */
export async function startServerPool(): Promise<ServerPool> {
  const postgres = await startPostgres()
  return {
    fresh: async () => {
      await using starting = new AsyncDisposableStack()
      const database = starting.use(await createDatabase(postgres.url))
      const redis = starting.use(await startRedis())
      const nats = starting.use(await startNats())
      const servers = starting.move()
      return {
        env: { DATABASE_URL: database.url, REDIS_URL: redis.url, NATS_URL: nats.url },
        [Symbol.asyncDispose]: () => servers.disposeAsync(),
      }
    },
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  }
}
