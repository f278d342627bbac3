/** A kind of server that tests can ask for. */
export interface Service {
  /** as people call it */
  readonly title: string
  /** the variable that may hold the URL of a running one */
  readonly variable: string
  /** names of the program, best first */
  readonly programs: readonly string[]
  /** further folders to look in; a `*` stands for any folder, the highest version first */
  readonly directories: readonly string[]
  /** what to do when there is none */
  readonly howToGet: string
}

/** Every kind of server that a test can ask for, by name. */
export const services = Object.freeze({
  postgres: {
    title: 'PostgreSQL',
    variable: 'DATABASE_URL',
    programs: ['postgres'],
    directories: ['/usr/lib/postgresql/*/bin', '/usr/pgsql/*/bin', '/opt/homebrew/opt/postgresql/bin'],
    howToGet:
      'apt-get install postgresql (or brew install postgresql); or ' +
      'docker run -d -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres and ' +
      'DATABASE_URL=postgres://postgres@127.0.0.1:5432/postgres',
  },
  redis: {
    title: 'Redis',
    variable: 'REDIS_URL',
    programs: ['redis-server'],
    directories: [],
    howToGet:
      'apt-get install redis-server (or brew install redis); or ' +
      'docker run -d -p 6379:6379 redis and REDIS_URL=redis://127.0.0.1:6379',
  },
  valkey: {
    title: 'Valkey',
    variable: 'VALKEY_URL',
    programs: ['valkey-server'],
    directories: [],
    howToGet:
      'apt-get install valkey (or brew install valkey); or ' +
      'docker run -d -p 6379:6379 valkey/valkey and VALKEY_URL=redis://127.0.0.1:6379',
  },
  nats: {
    title: 'NATS',
    variable: 'NATS_URL',
    programs: ['nats-server'],
    directories: [],
    howToGet:
      'apt-get install nats-server (or brew install nats-server); or ' +
      'docker run -d -p 4222:4222 nats -js and NATS_URL=nats://127.0.0.1:4222',
  },
} satisfies Record<string, Service>)

export type ServiceName = keyof typeof services

/** Folders that hold servers on most machines though PATH may not name them. */
export const systemDirectories: readonly string[] = [
  '/usr/sbin',
  '/usr/local/sbin',
  '/usr/local/bin',
  '/opt/homebrew/bin',
]
