import { limits, OutboxError } from '@outbox/core'
import type { MongoClient, MongoDatabase } from './driver.ts'

/** Refuses what is no client, no database, or a database of another client. @throws {OutboxError} `invalid-option` */
export function checkConnection({ client, db }: { readonly client: MongoClient; readonly db: MongoDatabase }): void {
  if (!hasMethods(client, 'startSession')) {
    throw refused('client', "is no client of the mongodb driver: pass new MongoClient(…), or mongoose's getClient().")
  }
  checkDatabase(db)
  const own = 'client' in db ? db.client : client
  if (own !== client) throw refused('db', 'belongs to another client: pass a database of the client that you pass.')
}

/** Refuses what is no database. @throws {OutboxError} `invalid-option` */
export function checkDatabase(db: MongoDatabase): void {
  if (hasMethods(db, 'command', 'collection')) return
  throw refused('db', "is no database of the mongodb driver: pass client.db('…'), or mongoose's connection.db.")
}

/** The option `maxPayloadBytes`, or its default. @throws {OutboxError} `invalid-option` */
export function checkMaxPayloadBytes(value: number = limits.payloadBytes): number {
  if (Number.isSafeInteger(value) && value > 0 && value <= largestPayloadBytes) return value
  throw refused(
    'maxPayloadBytes',
    `must be a whole number of bytes from 1 to ${largestPayloadBytes}: MongoDB's documents end at 16 MiB.`,
  )
}

const largestPayloadBytes: number = 12 * 1024 * 1024

export function refused(option: string, message: string): OutboxError<'invalid-option'> {
  return new OutboxError('invalid-option', `The option ${option} ${message}`, { option })
}

function hasMethods(value: unknown, ...names: readonly string[]): boolean {
  const found: ReadonlyMap<string, unknown> =
    typeof value === 'object' && value !== null
      ? new Map(names.map((name) => [name, Reflect.get(value, name)]))
      : new Map()
  return names.every((name) => typeof found.get(name) === 'function')
}
