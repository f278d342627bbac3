import { OutboxError } from '@outbox/core'
import { Turns } from '@outbox/core/adapter'
import type { MongoDatabase, MongoSession } from './driver.ts'
import { codeOf, duplicateKey, translatedInTransaction } from './errors.ts'
import { reconnectAfter } from './reconnect.ts'
import { type Document, documentIn, documentsIn, isDocument, numberIn, unexpected } from './values.ts'

type Method = 'enqueue' | 'once'

/** Of all outboxes and inboxes in this process. */
const turns = new Turns<object>()

/** A caller's transaction, as the outbox writes in it. It takes one command at a time. */
export interface Transaction {
  readonly session: MongoSession
  /** False when it has ended, also where the session is in its next one. As the driver knows it: no round trip. */
  isOpen(): boolean
  /** Begins `work` when all that was given before it for the same transaction has ended, in one way or the other. */
  inTurn<T>(work: () => Promise<T>): Promise<T>
  find(collection: string, filter: Document, options: { readonly projection: Document }): Promise<readonly Document[]>
  /** @returns the indexes of the updates that inserted a document */
  update(collection: string, updates: readonly Document[]): Promise<readonly number[]>
  /** @param ofDuplicate - an error for what is there already, by its place in `documents` and the index's key */
  insert(
    collection: string,
    documents: readonly Document[],
    ofDuplicate: (place: number, key: Document) => OutboxError | undefined,
  ): Promise<void>
}

/**
 * Refuses what is no session, and a session on which no transaction is open.
 *
 * @throws {OutboxError} `not-a-transaction`; nothing was sent
 */
export function transactionOn(db: MongoDatabase, session: unknown, method: Method): Transaction {
  if (!isSession(session)) throw wrongHandle(method)
  const transaction = currentOf(session)
  // a session that goes on to its next transaction must not take the rest of a call that nobody awaited along
  const isOpen = (): boolean => !session.hasEnded && session.inTransaction() && currentOf(session) === transaction
  const checkOpen = (): void => {
    if (!isOpen()) throw notOpen(session, method)
  }
  checkOpen()
  const run = async (command: Document): Promise<Document> => {
    checkOpen()
    let answer: unknown
    try {
      const options = {
        session,
        readPreference: 'primary',
        promoteValues: true,
        promoteBuffers: false,
        useBigInt64: false,
      }
      answer = await db.command({ ...command, ...onlyInTransaction } as never, options as never)
    } catch (error) {
      const told = reconnectAfter(error, db)
      if (!isOpen()) throw notOpen(session, method, told)
      throw isOfOtherClient(told) ? wrongHandle(method, told) : translatedInTransaction(told)
    }
    return isDocument(answer) ? answer : unexpected('an answer', answer)
  }
  /** A failed write has ended the transaction on the server. The driver's error for that says "run it again" to it. */
  const write = async (
    command: Document,
    ofDuplicate?: (place: number, key: Document) => OutboxError | undefined,
  ): Promise<Document> => {
    const answer = await run(command)
    const [fault] = documentsIn(answer, 'writeErrors')
    if (!fault) return answer
    if (codeOf(fault) !== duplicateKey) throw new Error(`MongoDB refused a write: ${String(fault['errmsg'])}`)
    const refusal = isDocument(fault['keyPattern']) && ofDuplicate?.(numberIn(fault, 'index'), fault['keyPattern'])
    if (refusal) throw refusal
    await run({ find: String(Object.values(command)[0]), filter: { _id: null }, limit: 1 })
    throw new OutboxError('busy', 'Another transaction wrote the same first: run the whole transaction again.', {
      system: 'mongodb',
    })
  }
  return {
    session,
    isOpen,
    inTurn: (work) => turns.take(isDocument(transaction) ? transaction : session, work),
    async find(collection, filter, { projection }) {
      const command = { find: collection, filter, projection, batchSize: maxBatch, singleBatch: true }
      return documentsIn(documentIn(await run(command), 'cursor'), 'firstBatch')
    },
    async update(collection, updates) {
      const answer = await write({ update: collection, updates, ordered: true })
      return documentsIn(answer, 'upserted').map((one) => numberIn(one, 'index'))
    },
    async insert(collection, documents, ofDuplicate) {
      await write({ insert: collection, documents, ordered: true }, ofDuplicate)
    },
  }
}

/** More than any find of the outbox gives: each asks for documents by key, and for a few bytes of each. */
const maxBatch = 1_000_000

/**
 * The forgotten await: a transaction may end between our look and the driver's sending, and then the driver would send
 * the command without one, to commit by itself. These two fields say that it belongs to a transaction. The driver
 * overwrites them with the true ones inside of one; outside, there is no transaction 0, and the server refuses.
 */
const onlyInTransaction = Object.freeze({ autocommit: false, txnNumber: 0n })

function isSession(value: unknown): value is MongoSession {
  return (
    typeof value === 'object' &&
    value !== null &&
    'inTransaction' in value &&
    typeof value.inTransaction === 'function' &&
    'hasEnded' in value
  )
}

/** What the driver keeps of the session's transaction: another object for each. Not in its types, but in 6 and 7. */
function currentOf(session: MongoSession): unknown {
  return 'transaction' in session ? session.transaction : undefined
}

function notOpen(session: MongoSession, method: Method, cause?: unknown): OutboxError<'not-a-transaction'> {
  const current = currentOf(session)
  const wasCommitted = isDocument(current) && current['isCommitted'] === true
  const options = cause === undefined ? undefined : { cause }
  if (session.hasEnded || wasCommitted || cause !== undefined) {
    return new OutboxError(
      'not-a-transaction',
      `The session given to ${method} has no open transaction any more: it was committed or aborted. Is an await missing inside the callback of session.withTransaction? Nothing of this call was committed.`,
      { reason: 'finished' },
      options,
    )
  }
  return new OutboxError(
    'not-a-transaction',
    `The session given to ${method} has no open transaction. Call it inside session.withTransaction(async (session) => …), or after session.startTransaction(). Nothing was written.`,
    { reason: 'no-transaction' },
    options,
  )
}

function isOfOtherClient(error: unknown): boolean {
  return error instanceof Error && /ClientSession must be from the same MongoClient/.test(error.message)
}

function wrongHandle(method: Method, cause?: unknown): OutboxError<'not-a-transaction'> {
  return new OutboxError(
    'not-a-transaction',
    `${method} was given no session of the outbox's own client: pass the session of client.startSession(), or of mongoose, with a transaction open on it. Nothing was written.`,
    { reason: 'wrong-handle' },
    cause === undefined ? undefined : { cause },
  )
}
