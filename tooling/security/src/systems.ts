import { randomBytes } from 'node:crypto'
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Publisher } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { Application } from '@outbox/end-to-end/application'
import { type BrokerAddress, readStream } from '@outbox/end-to-end/brokers'
import { places } from '@outbox/end-to-end/places'
import { type StoreName, stores } from '@outbox/end-to-end/stores'
import { type NatsPublisherOptions, natsPublisher } from '@outbox/nats'
import { type RedisPublisherOptions, redisPublisher } from '@outbox/redis'
import { sharedNats, sharedRedis } from '@outbox/services'
import Database from 'better-sqlite3'
import { Redis } from 'ioredis'
import pg from 'pg'

/** The stores that are attacked: one on each database, and PostgreSQL in a process as well. */
export const storesUnderAttack = [
  'postgres',
  'pglite',
  'mysql',
  'mariadb',
  'sqlite',
  'mongo',
] as const satisfies readonly StoreName[]

/** Those whose rows a test can write past the outbox, as somebody with a password could. */
export const storesWithForeignRows = ['postgres', 'pglite', 'sqlite'] as const satisfies readonly StoreName[]

/** An application with an outbox, in a database of its own. */
export interface Victim extends AsyncDisposable {
  readonly url: string
  readonly application: Application
}

export async function openVictim(kind: StoreName): Promise<Victim> {
  await using stack = new AsyncDisposableStack()
  const { url } = stack.use(await places[kind]())
  const application = stack.use(await stores[kind].create(url))
  const all = stack.move()
  return { url, application, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

type Rows = readonly Readonly<Record<string, unknown>>[]

/** A way to the tables past the outbox. */
export interface OpenTables extends Victim {
  readonly kind: (typeof storesWithForeignRows)[number]
  /** Runs one statement, `?` for each value. */
  run(statement: string, values?: readonly unknown[]): Promise<Rows>
}

export async function openTables(kind: OpenTables['kind']): Promise<OpenTables> {
  const victim = await openVictim(kind)
  const { url } = victim
  return {
    ...victim,
    kind,
    run: (statement, values = []) =>
      kind === 'sqlite' ? runOnSqlite(url, statement, values) : runOnPostgres(url, statement, values),
  }
}

async function runOnPostgres(url: string, statement: string, values: readonly unknown[]): Promise<Rows> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    let place = 0
    return (
      await client.query(
        statement.replaceAll('?', () => `$${++place}`),
        [...values],
      )
    ).rows
  } finally {
    await client.end()
  }
}

async function runOnSqlite(file: string, statement: string, values: readonly unknown[]): Promise<Rows> {
  const client = new Database(file, { timeout: 10_000 })
  try {
    const prepared = client.prepare<unknown[], Record<string, unknown>>(statement)
    if (prepared.reader) return prepared.all(...values)
    prepared.run(...values)
    return []
  } finally {
    client.close()
  }
}

/** One stream of a test's own on a shared server, and a publisher to it. */
export interface Target extends AsyncDisposable {
  readonly publisher: Publisher
  read(): Promise<readonly ReceivedEntry[]>
}

export async function openRedis(options: Pick<RedisPublisherOptions, 'format'> = {}): Promise<Target> {
  const address: BrokerAddress = { kind: 'redis', url: await sharedRedis(), stream: aName() }
  const client = new Redis(address.url)
  return {
    publisher: redisPublisher({ client, stream: address.stream, ...options }),
    read: () => readStream(address),
    [Symbol.asyncDispose]: async () => client.disconnect(),
  }
}

export async function openNats(
  options: Pick<NatsPublisherOptions, 'format' | 'fence'> = {},
  config: Partial<StreamConfig> = {},
): Promise<Target & { readonly stream: string }> {
  const address: BrokerAddress = { kind: 'nats', url: await sharedNats(), stream: aName() }
  const { stream } = address
  const connection = await connect({ servers: address.url })
  await (await jetstreamManager(connection)).streams.add({ name: stream, subjects: [`${stream}.>`], ...config })
  const publisher = natsPublisher({ connection, subject: `${stream}.{aggregateType}.{aggregateId}`, ...options })
  return {
    stream,
    publisher,
    read: () => readStream(address),
    async [Symbol.asyncDispose]() {
      await publisher.close()
      await connection.close()
    },
  }
}

function aName(): string {
  return `attack-${randomBytes(6).toString('hex')}`
}
