import type { Invalid } from '@outbox/core'

/*
 * What the outbox uses of the driver, by structure: the clients, databases and sessions of drivers 6 and 7, and of
 * mongoose's own copy, all fit. Nothing of the driver is imported at run time, so no two copies can meet.
 *
 * Parameters are `never`, because two versions of the driver share none of their types; only the outbox calls these.
 */

/** A client of the driver: `new MongoClient(…)`, or `mongoose.connection.getClient()`. The outbox never closes it. */
export interface MongoClient {
  startSession(options?: never): OwnSession
  /** a connection of mongoose has it */
  readonly getClient?: Invalid<'a connection of mongoose: pass connection.getClient()'>
}

/** A database of that client: `client.db('shop')`, or `mongoose.connection.db`. */
export interface MongoDatabase {
  readonly databaseName: string
  command(command: never, options?: never): Promise<unknown>
  collection(name: string, options?: never): MongoCollection
  createCollection(name: string, options?: never): Promise<unknown>
}

/** A session of that client, on which a transaction is open: what `session.withTransaction` hands to its callback. */
export interface MongoSession {
  inTransaction(): boolean
  readonly hasEnded: boolean
  /** what the server knows the session by */
  readonly id?: unknown
}

/** A session of the outbox's own. */
export interface OwnSession extends MongoSession {
  /** the server's time of the last operation */
  readonly operationTime?: unknown
  advanceOperationTime(time: never): void
  endSession(): PromiseLike<void>
}

export interface MongoCollection {
  find(filter: never, options?: never): MongoCursor
  aggregate(pipeline: never, options?: never): MongoCursor
  findOneAndUpdate(filter: never, update: never, options: never): Promise<unknown>
  updateMany(filter: never, update: never, options?: never): Promise<unknown>
  deleteMany(filter: never, options?: never): Promise<unknown>
  bulkWrite(operations: never, options?: never): Promise<unknown>
  createIndexes(indexes: never): Promise<unknown>
  listIndexes(): MongoCursor
  watch(pipeline: never, options?: never): MongoChangeStream
}

export interface MongoCursor {
  toArray(): Promise<unknown>
}

export interface MongoChangeStream {
  tryNext(): Promise<unknown>
  next(): Promise<unknown>
  close(): Promise<unknown>
}
