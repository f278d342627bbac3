import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { type ServiceName, services } from './catalogue.ts'
import { createDatabase, type TestDatabase } from './database.ts'

/** names the socket on which the test run hands out its shared servers */
export const socketVariable = 'OUTBOX_SHARED_SERVERS'

/**
 * The URL of a server that all test files of a run share: the one that the environment names, else one that the run
 * starts when it is first asked for, and ends with the run.
 *
 * Tests keep to databases, keys and streams of their own there, and never stop or reconfigure it.
 *
 * @throws {Error} when there is none on this machine, with how to get it
 */
export async function sharedServer(name: ServiceName): Promise<string> {
  const given = process.env[services[name].variable]
  if (given) return given
  const socketPath = process.env[socketVariable]
  if (!socketPath) {
    throw new Error(`Shared servers live in a vitest run; elsewhere start one, or set ${services[name].variable}.`)
  }
  const socket = connect(socketPath)
  socket.end(name)
  const answer: unknown = JSON.parse(await text(socket))
  if (typeof answer === 'object' && answer !== null) {
    if ('url' in answer && typeof answer.url === 'string') return answer.url
    if ('error' in answer) throw new Error(`The shared ${services[name].title} did not start: ${String(answer.error)}`)
  }
  throw new Error(`The test run gave no answer about ${name}.`)
}

/** URL of the shared PostgreSQL, as a user who may create databases: `postgres://…/postgres`. */
export const sharedPostgres = (): Promise<string> => sharedServer('postgres')

/** URL of the shared MySQL, as a user who may create databases. */
export const sharedMysql = (): Promise<string> => sharedServer('mysql')

/** URL of the shared MariaDB, likewise. */
export const sharedMariadb = (): Promise<string> => sharedServer('mariadb')

/** URL of the shared MongoDB, a replica set. */
export const sharedMongo = (): Promise<string> => sharedServer('mongo')

/** URL of the shared Redis. */
export const sharedRedis = (): Promise<string> => sharedServer('redis')

/** URL of the shared NATS server, with JetStream. */
export const sharedNats = (): Promise<string> => sharedServer('nats')

/** An empty database of the test's own on the shared PostgreSQL. */
export async function freshDatabase(): Promise<TestDatabase> {
  return createDatabase(await sharedPostgres())
}
