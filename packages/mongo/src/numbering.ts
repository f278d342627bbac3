import type { NewEntry } from '@outbox/core'
import { aggregateKey, mixedSequences } from '@outbox/core/adapter'
import { inChunks } from './chunks.ts'
import { aggregateOf } from './entries.ts'
import type { Names } from './names.ts'
import type { Transaction } from './transaction.ts'
import { type Document, dateIn, documentIn, numberIn, textIn, textOrNullIn } from './values.ts'

export type NumberedBy = 'caller' | 'store'

/** An entry that has its number. */
export type Numbered = NewEntry & { readonly sequence: number; readonly numberedBy: NumberedBy }

interface Numbering {
  readonly numbered: readonly Numbered[]
  /** the server's clock, if an answer told */
  readonly now: Date | undefined
  /** what moves the counters on and writes down how new types are numbered: to be sent before the entries */
  readonly updates: readonly Document[]
}

/**
 * Gives every entry that brings no sequence its aggregate's next.
 *
 * The collection holds one document per aggregate, its counter, and one per aggregate type. Two transactions that move
 * one counter meet in a write conflict, so the order of numbers is the order of commits. The type's document is written
 * once, by its first transaction.
 *
 * @throws {OutboxError} `sequence-source-mixed`
 */
export async function numberedIn(
  names: Names,
  transaction: Transaction,
  entries: readonly NewEntry[],
): Promise<Numbering> {
  const types = new Map(entries.map((entry) => [entry.aggregateType, numberedBy(entry)]))
  const counted = new Map(
    entries.filter(({ sequence }) => sequence === undefined).map((entry) => [aggregateKey(entry), entry]),
  )
  const ids = [...[...types.keys()].map((type) => ({ type })), ...[...counted.values()].map(aggregateOf)]
  const projection = { last: 1, numberedBy: 1, now: '$$NOW' }
  const found: Document[] = []
  for (const some of inChunks(ids)) {
    found.push(...(await transaction.find(names.sequences, { _id: { $in: some } }, { projection })))
  }
  const updates = declarations(types, found)
  const before = lastNumbers(found)
  const last = new Map(before)
  const numbered = entries.map((entry): Numbered => {
    if (entry.sequence !== undefined) return { ...entry, sequence: entry.sequence, numberedBy: 'caller' }
    const key = aggregateKey(entry)
    const sequence = (last.get(key) ?? 0) + 1
    last.set(key, sequence)
    return { ...entry, sequence, numberedBy: 'store' }
  })
  for (const [key, entry] of counted) {
    // a counter that moved meanwhile does not fit, and the insert that is tried then fails
    const seen = before.has(key) ? { last: before.get(key) } : {}
    updates.push({ q: { _id: aggregateOf(entry), ...seen }, u: { $set: { last: last.get(key) } }, upsert: true })
  }
  return { numbered, updates, now: found[0] && dateIn(found[0], 'now') }
}

function numberedBy({ sequence }: NewEntry): NumberedBy {
  return sequence === undefined ? 'store' : 'caller'
}

/** Refuses a type that is numbered another way than before. @returns what writes down how the new ones are */
function declarations(types: ReadonlyMap<string, NumberedBy>, found: readonly Document[]): Document[] {
  const known = new Map(
    found
      .map((document) => [textIn(documentIn(document, '_id'), 'type'), textOrNullIn(document, 'numberedBy')] as const)
      .filter(([, by]) => by !== null),
  )
  return [...types].flatMap(([type, by]) => {
    const before = known.get(type)
    if (before !== undefined && before !== by) throw mixedSequences(type)
    return before === undefined ? [{ q: { _id: { type } }, u: { $set: { numberedBy: by } }, upsert: true }] : []
  })
}

function lastNumbers(found: readonly Document[]): Map<string, number> {
  const last = new Map<string, number>()
  for (const document of found) {
    const id = documentIn(document, '_id')
    if (!('id' in id)) continue
    const name = { aggregateType: textIn(id, 'type'), aggregateId: textIn(id, 'id') }
    last.set(aggregateKey(name), numberIn(document, 'last'))
  }
  return last
}
