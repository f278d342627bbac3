import type { DemoBroker } from './brokers/broker.ts'
import { fileBroker } from './brokers/file.ts'
import type { DemoOptions } from './options.ts'
import type { DemoStore } from './stores/store.ts'

/** All that a process of the demo needs to find the others' database and broker; travels as JSON. */
export interface World {
  readonly options: DemoOptions
  readonly directory: string
  readonly databaseUrl: string
  readonly brokerUrl: string
  /** names this run's stream, so that runs do not meet */
  readonly run: string
}

/** Adapters are loaded when asked for: the default needs no server and no client of one. */
export async function openStore({ options, directory, databaseUrl }: World): Promise<DemoStore> {
  switch (options.store) {
    case 'sqlite':
      return (await import('./stores/sqlite.ts')).sqliteStore(directory)
    case 'libsql':
      return (await import('./stores/libsql.ts')).libsqlStore(directory)
    case 'pglite':
    case 'postgres':
      return (await import('./stores/postgres.ts')).postgresStore(databaseUrl, {
        isEmbedded: options.store === 'pglite',
      })
    case 'mysql':
    case 'mariadb':
      return (await import('./stores/mysql.ts')).mysqlStore(databaseUrl)
    case 'mongo':
      return (await import('./stores/mongo.ts')).mongoStore(databaseUrl)
  }
}

export async function openBroker(world: World, relay: string): Promise<DemoBroker> {
  const { options, directory, brokerUrl, run } = world
  if (options.broker === 'redis') return (await import('./brokers/redis.ts')).redisBroker(brokerUrl, run)
  if (options.broker === 'nats') return (await import('./brokers/nats.ts')).natsBroker(brokerUrl, run)
  return fileBroker(directory, relay)
}
