import type { Enqueueable, NewEntry, OneOrMany, Receipt } from '@outbox/core'
import {
  aggregateKey,
  type EntryOptions,
  entriesFrom,
  entriesToWrite,
  mixedSequences,
  receiptsFor,
  type Stored,
  sequenceConflict,
} from '@outbox/core/adapter'
import type { Row, SequenceSource, State } from './state.ts'
import type { MemoryTransaction, OpenTransaction, Transactions } from './transaction.ts'

/** `Enqueue.enqueue` in a transaction: waits where a database would, then stages the batch whole or not at all. */
export async function enqueue(
  state: State,
  transactions: Transactions,
  options: EntryOptions,
  handle: MemoryTransaction,
  events: OneOrMany<Enqueueable>,
): Promise<readonly Receipt[]> {
  const transaction = transactions.of(handle)
  const entries = entriesFrom(events, options)
  /** Nothing where the lock is free, so that a batch that need not wait is staged at once. */
  const turnFor = (name: string): Promise<void> | undefined =>
    transactions.locks.take(transaction, name)?.then(() => void transactions.of(handle)) // it may have ended meanwhile
  for (const name of lockNames(entries)) {
    const turn = turnFor(name)
    if (turn) await turn
  }
  // who wrote what is in the way holds its id until it ends; then something else may be in the way
  const inTheWay = (): Row | undefined => firstInTheWay(state, transactions, transaction, entries)
  for (let row = inTheWay(); row; row = inTheWay()) {
    const turn = turnFor(idLock(row.entry))
    if (turn) await turn
  }
  return stage(state, transaction, entries)
}

/** What two transactions must not write at once: the same id, the same number, the next number of an aggregate. */
function lockNames(entries: readonly NewEntry[]): string[] {
  const names = new Set<string>()
  for (const entry of entries) {
    names.add(idLock(entry))
    names.add(
      entry.sequence === undefined
        ? `counter ${aggregateKey(entry)}`
        : `sequence ${entry.sequence} of ${aggregateKey(entry)}`,
    )
  }
  return [...names].sort()
}

function idLock({ id }: NewEntry): string {
  return `id ${id}`
}

/**
 * A first event of a type that another open transaction has written, numbered the other way: whether it settles how the
 * type is numbered is known when that transaction ends.
 */
function firstInTheWay(
  state: State,
  transactions: Transactions,
  own: OpenTransaction,
  entries: readonly NewEntry[],
): Row | undefined {
  const unsettled = new Map<string, SequenceSource>()
  for (const entry of entries) {
    if (!state.sequenceSources.has(entry.aggregateType)) unsettled.set(entry.aggregateType, sourceOf(entry))
  }
  if (unsettled.size === 0) return undefined
  const isOther = ({ entry, numberedBy }: Row): boolean =>
    (unsettled.get(entry.aggregateType) ?? numberedBy) !== numberedBy
  for (const other of transactions.open) {
    const row = other === own ? undefined : other.staged.find(isOther)
    if (row) return row
  }
  return undefined
}

/**
 * Adds entries to what the transaction has written, numbered, sorted by sequence; receipts in the order given.
 *
 * @throws {OutboxError} `sequence-source-mixed`, `sequence-conflict`; then nothing was staged
 */
export function stage(state: State, transaction: OpenTransaction, entries: readonly NewEntry[]): readonly Receipt[] {
  const view = viewOf(state, transaction.staged)
  const rows: Row[] = []
  const written = entriesToWrite(entries)
  const stored = new Map<string, Stored>()
  for (const entry of written) {
    const known = view.byId(entry.id)
    const row = known ?? newRow(state, view, entry, state.lastPosition + rows.length + 1)
    stored.set(entry.id, { sequence: row.entry.sequence, isNew: known === undefined })
    if (known) continue
    view.add(row)
    rows.push(row)
  }
  state.lastPosition += rows.length
  transaction.staged.push(...rows)
  return receiptsFor(entries, written, stored)
}

function newRow(state: State, view: View, entry: NewEntry, position: number): Row {
  const source = view.source(entry.aggregateType)
  if (source !== undefined && source !== sourceOf(entry)) throw mixedSequences(entry.aggregateType)
  const sequence = entry.sequence ?? view.lastSequence(entry) + 1
  if (view.isTaken({ ...entry, sequence })) throw sequenceConflict({ ...entry, sequence })
  return {
    entry: { ...entry, sequence },
    position,
    enqueuedAt: state.clock.monotonic(),
    payloadBytes: new TextEncoder().encode(entry.payload).byteLength,
    numberedBy: sourceOf(entry),
    state: { kind: 'pending' },
    refused: 0,
    crashes: 0,
    requeues: 0,
    isLate: false,
  }
}

function sourceOf(entry: NewEntry): SequenceSource {
  return entry.sequence === undefined ? 'store' : 'caller'
}

/** What a transaction sees when it writes: what is committed, and its own rows. */
interface View {
  readonly source: (aggregateType: string) => SequenceSource | undefined
  readonly byId: (id: string) => Row | undefined
  readonly isTaken: (entry: NewEntry & { readonly sequence: number }) => boolean
  readonly lastSequence: (entry: NewEntry) => number
  readonly add: (row: Row) => void
}

function viewOf(state: State, own: readonly Row[]): View {
  const ids = new Map<string, Row>()
  const taken = new Set<string>()
  const last = new Map<string, number>()
  const sources = new Map<string, SequenceSource>()
  const place = (entry: NewEntry): string => `${entry.sequence} ${aggregateKey(entry)}`
  const add = (row: Row): void => {
    ids.set(row.entry.id, row)
    taken.add(place(row.entry))
    last.set(aggregateKey(row.entry), row.entry.sequence)
    sources.set(row.entry.aggregateType, row.numberedBy)
  }
  for (const row of own) add(row)
  return {
    add,
    source: (aggregateType) => state.sequenceSources.get(aggregateType) ?? sources.get(aggregateType),
    byId: (id) => state.rows.get(id) ?? ids.get(id),
    isTaken: (entry) =>
      taken.has(place(entry)) || (state.aggregates.get(aggregateKey(entry))?.bySequence.has(entry.sequence) ?? false),
    lastSequence: (entry) =>
      last.get(aggregateKey(entry)) ?? state.aggregates.get(aggregateKey(entry))?.lastSequence ?? 0,
  }
}
