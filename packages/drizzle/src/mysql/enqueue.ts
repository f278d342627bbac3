import { type NewEntry, OutboxError, type Receipt } from '@outbox/core'
import { aggregateKey, entriesToWrite, receiptsFor, type Stored, sequenceConflict, Turns } from '@outbox/core/adapter'
import { translated, violatedIndex } from './errors.ts'
import { checkTransaction, connectionOf, type MysqlTransaction } from './handles.ts'
import { type Insertion, insertion } from './insert.ts'
import { findConflict, knownAmong, knownAndDeclared } from './known.ts'
import type { Names } from './names.ts'
import { agree, type Counters, numberingOf, takeNumbers } from './numbering.ts'
import { writeWhileOpen } from './open-transaction.ts'
import type { Purpose } from './privileges.ts'
import { send, sessionIn } from './session.ts'

export interface Enqueued {
  readonly receipts: readonly Receipt[]
  /** one of the entries written, which can be seen once the transaction has committed; undefined: none was */
  readonly writtenId: string | undefined
}

/**
 * Of all outboxes in this process. Two calls at once in one transaction would each read what the other has numbered so
 * far, and the entries of one would land between those of the other.
 */
const turns = new Turns<object>()

/**
 * Writes a batch in the caller's transaction, whole or not at all. Calls that run at once in one transaction are done
 * one after the other.
 *
 * What is there already is looked for first, without a lock that a relay would meet. So an insert meets a known entry
 * only where another transaction wrote it at the same moment, or since the caller's snapshot was taken: a failed insert
 * leaves a lock on the row that it met.
 */
export async function enqueue(names: Names, handle: MysqlTransaction, entries: readonly NewEntry[]): Promise<Enqueued> {
  checkTransaction(handle, 'enqueue')
  const purpose: Purpose = { names, use: 'enqueue' }
  const toWrite = entriesToWrite(entries)
  const stored = new Map<string, Stored>()
  const written = await turns.take(connectionOf(handle), async () => {
    const fresh = await withoutKnown(handle, purpose, toWrite, stored)
    return writeFresh(handle, purpose, fresh, stored)
  })
  return { receipts: receiptsFor(entries, toWrite, stored), writtenId: written.at(-1)?.id }
}

/** The entries that nothing is known of. Those that are there already are told in `stored`. */
async function withoutKnown(
  handle: MysqlTransaction,
  purpose: Purpose,
  entries: readonly NewEntry[],
  stored: Map<string, Stored>,
): Promise<readonly NewEntry[]> {
  if (entries.length === 0) return []
  const { known, declared } = await knownAndDeclared(sessionIn(handle, purpose), purpose.names, entries)
  for (const [id, sequence] of known) stored.set(id, { sequence, isNew: false })
  const fresh = entries.filter(({ id }) => !known.has(id))
  if (fresh.length > 0) await agree(handle, purpose, numberingOf(fresh), declared)
  return fresh
}

/** @returns the entries written */
async function writeFresh(
  handle: MysqlTransaction,
  purpose: Purpose,
  fresh: readonly NewEntry[],
  stored: Map<string, Stored>,
): Promise<readonly NewEntry[]> {
  if (fresh.length === 0) return []
  const counters = await takeNumbers(handle, purpose, fresh)
  let left = fresh
  for (let round = 1; round <= 3; round++) {
    const numbered = withNumbers(left, counters)
    const known = await insert(handle, purpose, numbered)
    if (known === 'inserted') {
      for (const { id, sequence } of numbered) stored.set(id, { sequence, isNew: true })
      return left
    }
    for (const [id, sequence] of known) stored.set(id, { sequence, isNew: false })
    left = left.filter(({ id }) => !known.has(id))
    if (left.length === 0) return []
  }
  throw new OutboxError(
    'busy',
    'Other transactions keep writing entries with the ids of this batch: run the transaction again.',
    { system: 'mysql' },
  )
}

export interface NumberedEntry extends NewEntry {
  readonly sequence: number
}

function withNumbers(entries: readonly NewEntry[], counters: Counters): readonly NumberedEntry[] {
  const next = new Map(counters)
  return entries.map((entry) => {
    if (entry.sequence !== undefined) return { ...entry, sequence: entry.sequence }
    const key = aggregateKey(entry)
    const sequence = next.get(key)
    if (sequence === undefined) throw new RangeError(`There is no number for ${entry.aggregateType}.`)
    next.set(key, sequence + 1)
    return { ...entry, sequence }
  })
}

/**
 * Inserts all, or nothing.
 *
 * @returns `inserted`; otherwise those that were there already, with their sequences, and nothing was
 *   inserted. There may be none left of these either: where the transaction has ended, somebody may have deleted them
 * @throws {OutboxError} `sequence-conflict`, `not-a-transaction`
 */
async function insert(
  handle: MysqlTransaction,
  purpose: Purpose,
  entries: readonly NumberedEntry[],
): Promise<ReadonlyMap<string, number> | 'inserted'> {
  try {
    await sendAtOnce(handle, purpose, insertion(purpose.names, entries))
    return 'inserted'
  } catch (error) {
    const { prefix } = purpose.names
    const [byId, bySequence] = [`${prefix}entries_id`, `${prefix}entries_sequence`]
    const violated = violatedIndex(error, [byId, bySequence])
    if (violated === undefined) throw error
    const session = sessionIn(handle, purpose)
    if (violated === byId) return knownAmong(session, purpose.names, entries)
    throw sequenceConflict(await findConflict(session, purpose.names, entries))
  }
}

/** Nothing is awaited in between, so nothing can come in between: no other use of the variables, or of the connection. */
async function sendAtOnce(
  handle: MysqlTransaction,
  purpose: Purpose,
  { before, insert, after }: Insertion,
): Promise<void> {
  const filled = before.map((text) => send(handle, text))
  const written = writeWhileOpen(handle, insert, purpose)
  const emptied = after.map((text) => send(handle, text))
  const ends = await Promise.allSettled([...filled, written, ...emptied])
  // where one before it fails, so does the insert: the first tells why; once it has written, nothing else matters
  const failure = ends.slice(0, filled.length + 1).find(({ status }) => status === 'rejected')
  if (failure?.status === 'rejected') throw translated(failure.reason, purpose)
}
