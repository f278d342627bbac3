import type { ServiceName } from '@outbox/services'
import type { Application } from './application.ts'

/** Where a process finds its store; travels as JSON. */
export interface StoreAddress {
  readonly kind: StoreName
  /** URL of a server's database, or path of a file */
  readonly url: string
}

interface Store {
  readonly title: string
  /** servers that it cannot do without */
  readonly needs: readonly ServiceName[]
  /** the application's table, and the outbox's */
  create(url: string): Promise<Application>
  open(url: string): Promise<Application>
}

/** Every store that several processes can share. Drivers are loaded when they are asked for. */
export const stores = {
  postgres: {
    title: 'PostgreSQL',
    needs: ['postgres'],
    create: async (url) => (await import('./shop.ts')).createShop(url),
    open: async (url) => (await import('./shop.ts')).openShop(url),
  },
  'postgres-log': {
    title: 'PostgreSQL, log engine',
    needs: ['postgres'],
    create: async (url) => (await import('./shop.ts')).createShop(url, { engine: 'log' }),
    open: async (url) => (await import('./shop.ts')).openShop(url, { engine: 'log' }),
  },
  'postgres-js': {
    title: 'PostgreSQL, postgres.js',
    needs: ['postgres'],
    create: async (url) => (await import('./stores/postgres-js.ts')).createPostgresJs(url),
    open: async (url) => (await import('./stores/postgres-js.ts')).openPostgresJs(url),
  },
  pglite: {
    title: 'PGlite',
    needs: [],
    create: async (url) => (await import('./shop.ts')).createShop(url, { hasOneSession: true }),
    open: async (url) => (await import('./shop.ts')).openShop(url, { hasOneSession: true }),
  },
  sqlite: {
    title: 'SQLite',
    needs: [],
    create: async (url) => (await import('./stores/sqlite.ts')).createSqlite(url),
    open: async (url) => (await import('./stores/sqlite.ts')).openSqlite(url),
  },
  libsql: {
    title: 'SQLite, libsql',
    needs: [],
    create: async (url) => (await import('./stores/libsql.ts')).createLibsql(url),
    open: async (url) => (await import('./stores/libsql.ts')).openLibsql(url),
  },
  mysql: {
    title: 'MySQL',
    needs: ['mysql'],
    create: async (url) => (await import('./stores/mysql.ts')).createMysql(url),
    open: async (url) => (await import('./stores/mysql.ts')).openMysql(url),
  },
  mariadb: {
    title: 'MariaDB',
    needs: ['mariadb'],
    create: async (url) => (await import('./stores/mysql.ts')).createMysql(url),
    open: async (url) => (await import('./stores/mysql.ts')).openMysql(url),
  },
  mongo: {
    title: 'MongoDB',
    needs: ['mongo'],
    create: async (url) => (await import('./stores/mongo.ts')).createMongo(url),
    open: async (url) => (await import('./stores/mongo.ts')).openMongo(url),
  },
} satisfies Record<string, Store>

export type StoreName = keyof typeof stores

export const storeNames: readonly StoreName[] = Object.keys(stores).filter(isStoreName)

/** Brokers that the faults of a store are tried with. Which one it is matters to the relay, hardly to a store: the rest have one. */
export function brokersForFaults(store: StoreName): readonly ('redis' | 'nats')[] {
  const isThorough = ['postgres', 'postgres-js', 'pglite', 'sqlite'].includes(store)
  return isThorough ? ['redis', 'nats'] : ['redis']
}

function isStoreName(name: string): name is StoreName {
  return Object.hasOwn(stores, name)
}

export function openStore({ kind, url }: StoreAddress): Promise<Application> {
  return stores[kind].open(url)
}
