import { randomBytes } from 'node:crypto'
import { OutboxError } from '@outbox/core'
import type { MongoDatabase, MongoSession, MongoClient as OutboxClient } from '@outbox/mongo'
import { MongoClient } from 'mongodb'
import { MongoClient as MongoClient6 } from 'mongodb-6'

/** What tests need of a session; that of every version of the driver fits. */
export interface TestSession extends MongoSession {
  readonly operationTime?: unknown
  advanceOperationTime(time: never): void
  startTransaction(): void
  commitTransaction(): Promise<unknown>
  abortTransaction(): Promise<unknown>
  endSession(): Promise<void>
  withTransaction<T>(work: () => Promise<T>): Promise<T>
}

interface TestClient extends OutboxClient {
  startSession(): TestSession
}

interface TestDatabase extends MongoDatabase {
  readonly databaseName: string
  dropDatabase(): Promise<boolean>
}

/** A client with a database of the test's own, which goes when the client is closed. */
export interface Opened extends AsyncDisposable {
  readonly client: TestClient
  readonly db: TestDatabase
}

export function newName(): string {
  return `outbox_test_${randomBytes(6).toString('hex')}`
}

export const openDriver7 = (url: string, name: string = newName()) => {
  const client = new MongoClient(url)
  return opened(client, client.db(name), () => client.close())
}

export const openDriver6 = (url: string, name: string = newName()) => {
  const client = new MongoClient6(url)
  return opened(client, client.db(name), () => client.close())
}

function opened<Client, Database extends { dropDatabase(): Promise<boolean> }>(
  client: Client,
  db: Database,
  close: () => Promise<void>,
) {
  return {
    client,
    db,
    async [Symbol.asyncDispose]() {
      await db.dropDatabase()
      await close()
    },
  }
}

/** Runs `work` in one transaction, and no second one whatever goes wrong. */
export async function transaction<Session extends TestSession, T>(
  client: { startSession(): Session },
  work: (session: Session) => T | PromiseLike<T>,
): Promise<T> {
  const session = client.startSession()
  try {
    session.startTransaction()
    const result = await work(session)
    await session.commitTransaction().catch(busyAfter)
    return result
  } catch (error) {
    if (session.inTransaction()) await session.abortTransaction()
    throw error
  } finally {
    await session.endSession()
  }
}

/** DocumentDB may find out as late as at the commit that another transaction was first: as `busy`, it is run again. */
function busyAfter(error: unknown): never {
  if (!(error instanceof Error) || !error.message.startsWith('Write conflict on commit')) throw error
  throw new OutboxError('busy', error.message, { system: 'mongodb' }, { cause: error })
}

/** Takes every document out of the collections of an outbox and an inbox, and leaves their indexes. */
export async function emptied({ db }: Opened): Promise<void> {
  const kinds = ['entries', 'sequences', 'relays', 'leases', 'meta', 'inbox']
  await Promise.all(kinds.map((kind) => db.collection(`outbox_${kind}`).deleteMany({} as never)))
}
