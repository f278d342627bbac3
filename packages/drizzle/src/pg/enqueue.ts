import { type NewEntry, OutboxError, type Receipt } from '@outbox/core'
import { entriesToWrite, mixedSequences, receiptsFor, type Stored, sequenceConflict } from '@outbox/core/adapter'
import { translatedConflict } from './errors.ts'
import { checkTransaction, type PgTransaction } from './handles.ts'
import { type InsertOptions, wholeInsert } from './insert.ts'
import { isOpenByClock, type OpenCheck, runWhileOpen } from './open-check.ts'
import { ordinaryInsert } from './ordinary.ts'
import { numberIn, type Row, textIn } from './rows.ts'
import { type Session, sessionOf } from './session.ts'
import type { Statement } from './statement.ts'

export interface EnqueueOptions extends InsertOptions {
  readonly openCheck: OpenCheck
}

export interface Enqueued {
  readonly receipts: readonly Receipt[]
  /** the transaction, if it wrote something; one can ask PostgreSQL later what became of it */
  readonly transactionId: string | undefined
}

/**
 * Writes a batch in the caller's transaction, in one statement whatever its size, so that it is written whole or not
 * at all.
 *
 * A second statement runs only where another transaction wrote one of the ids, or used an aggregate type for the
 * first time, at the same moment.
 */
export async function enqueue(
  options: EnqueueOptions,
  handle: PgTransaction,
  entries: readonly NewEntry[],
): Promise<Enqueued> {
  checkTransaction(handle, 'enqueue')
  const toWrite = entriesToWrite(entries)
  const session = sessionOf(handle, { names: options.names, use: options.toLog ? 'logEnqueue' : 'enqueue' })
  const written = await insertOrdinary(options, session, toWrite)
  const stored = new Map<string, Stored>(
    written.map((row) => [textIn(row, 'key'), { sequence: numberIn(row, 'sequence'), isNew: true }]),
  )
  let transactionId = written[0] && textIn(written[0], 'open')
  let missing = toWrite.filter(({ id }) => !stored.has(id))
  for (let round = 1; missing.length > 0; round++) {
    if (round > 3) throw metOthers()
    const rows = await insert(options, session, missing)
    transactionId = ofKind(rows, 'open')[0] ?? transactionId
    for (const row of rows) {
      const kind = textIn(row, 'kind')
      if (kind !== 'new' && kind !== 'known') continue
      stored.set(textIn(row, 'key'), { sequence: numberIn(row, 'sequence'), isNew: kind === 'new' })
    }
    missing = missing.filter((entry) => !stored.has(entry.id))
  }
  const isNews = [...stored.values()].some(({ isNew }) => isNew)
  return { receipts: receiptsFor(entries, toWrite, stored), transactionId: isNews ? transactionId : undefined }
}

/** @returns what it wrote: all of an ordinary batch, as a rule, and nothing of any other */
async function insertOrdinary(
  options: EnqueueOptions,
  session: Session,
  entries: readonly NewEntry[],
): Promise<readonly Row[]> {
  const statement = options.openCheck === 'clock' ? ordinaryInsert(options, entries, isOpenByClock) : undefined
  if (!statement) return []
  try {
    return await session.runInlined(statement)
  } catch (error) {
    throw translatedConflict(error, options.names, entries)
  }
}

async function insert(
  options: EnqueueOptions,
  session: Session,
  entries: readonly NewEntry[],
): Promise<readonly Row[]> {
  const statementWhere = (isOpen: string): Statement => wholeInsert(options, entries, isOpen)
  const wasOpen = (rows: readonly Row[]): boolean => ofKind(rows, 'open').length > 0
  let rows: readonly Row[]
  try {
    rows = await runWhileOpen(session, options.openCheck, statementWhere, wasOpen)
  } catch (error) {
    throw translatedConflict(error, options.names, entries)
  }
  if (ofKind(rows, 'stale').length > 0) throw staleSnapshot()
  const [taken] = ofKind(rows, 'taken')
  const conflicting = taken === undefined ? undefined : entries.find(({ id }) => id === taken)
  if (conflicting) throw sequenceConflict({ ...conflicting, sequence: conflicting.sequence ?? 0 })
  const [mixed] = ofKind(rows, 'mixed')
  if (mixed !== undefined) throw mixedSequences(mixed)
  return rows
}

function ofKind(rows: readonly Row[], kind: string): string[] {
  return rows.filter((row) => row['kind'] === kind).map((row) => textIn(row, 'key'))
}

function staleSnapshot(): OutboxError<'busy'> {
  return new OutboxError(
    'busy',
    'The log of the outbox went on to another leaf, or emptied one, since the snapshot of this transaction was taken: run the transaction again, from its beginning. If every attempt ends so, the log comes from another server: run emptyLog(db).',
    { system: 'postgresql' },
  )
}

function metOthers(): OutboxError<'busy'> {
  return new OutboxError(
    'busy',
    'Other transactions keep writing and deleting entries with the ids of this batch: run the transaction again.',
    { system: 'postgresql' },
  )
}
