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
  /** what `--version` shows of another program that goes by the same name */
  readonly isNot?: RegExp
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
  pgbouncer: {
    title: 'PgBouncer',
    variable: 'PGBOUNCER_URL',
    programs: ['pgbouncer'],
    directories: [],
    howToGet: 'apt-get install pgbouncer (or brew install pgbouncer)',
  },
  mysql: {
    title: 'MySQL',
    variable: 'MYSQL_URL',
    programs: ['mysqld'],
    directories: [],
    isNot: /MariaDB/,
    howToGet:
      'apt-get install mysql-server (or brew install mysql); or ' +
      'docker run -d -p 3306:3306 -e MYSQL_ALLOW_EMPTY_PASSWORD=1 mysql and MYSQL_URL=mysql://root@127.0.0.1:3306/mysql',
  },
  mariadb: {
    title: 'MariaDB',
    variable: 'MARIADB_URL',
    programs: ['mariadbd'],
    directories: ['/opt/homebrew/opt/mariadb/bin'],
    howToGet:
      'apt-get install mariadb-server (or brew install mariadb); or docker run -d -p 3307:3306 ' +
      '-e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 mariadb and MARIADB_URL=mysql://root@127.0.0.1:3307/mysql',
  },
  mongo: {
    title: 'MongoDB',
    variable: 'MONGODB_URI',
    programs: ['documentdb'],
    directories: [],
    howToGet:
      'docker run -d -p 27017:27017 mongo --replSet rs0, then docker exec … mongosh --eval "rs.initiate()", and ' +
      'MONGODB_URI=mongodb://127.0.0.1:27017/?directConnection=true; or ' +
      'npx mongodb-memory-server, as a replica set, and MONGODB_URI with its URL',
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
