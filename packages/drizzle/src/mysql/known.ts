import { type NewEntry, OutboxError } from '@outbox/core'
import type { NumberedEntry } from './enqueue.ts'
import { nameIn } from './found.ts'
import { by, byKey, usualPlan } from './indexes.ts'
import { givenTable, hexOf, inParts, textLiteral, uuidDigits, uuidLiteral } from './literals.ts'
import type { Names } from './names.ts'
import { numberingIn, numberingKeys } from './numbering.ts'
import { booleanIn, booleanOrNullIn, numberIn, type Row, uuidIn } from './rows.ts'
import type { Session } from './session.ts'

export interface KnownAndDeclared {
  /** sequences by id, of the entries that are there */
  readonly known: ReadonlyMap<string, number>
  /** who numbers each aggregate type, as far as it is written down */
  readonly declared: ReadonlyMap<string, string>
}

/**
 * One read without a lock: it sees the caller's own writes, and what its snapshot shows of others'. Of the ids that it
 * finds, those that may not be committed are confirmed.
 */
export async function knownAndDeclared(
  session: Session,
  names: Names,
  entries: readonly NewEntry[],
): Promise<KnownAndDeclared> {
  const types = new Set(entries.map(({ aggregateType }) => aggregateType))
  const rows = await session.read(
    `${knownRows(names, entries, { more: ', null as `key`, null as value' })}
    union all
    select null, null, null, null, null, \`key\`, value from ${names.meta} ${byKey}
    where \`key\` in (${numberingKeys(types)})`,
  )
  return {
    known: await confirmed(
      session,
      names,
      rows.filter((row) => row['id'] !== null),
    ),
    declared: numberingIn(rows.filter((row) => row['id'] === null)),
  }
}

/**
 * The entries that an insert has just met. The caller's snapshot may not show them; then a read that locks does. It comes
 * second, since its locks keep others from inserting beside those entries.
 */
export async function knownAmong(
  session: Session,
  names: Names,
  entries: readonly NewEntry[],
): Promise<ReadonlyMap<string, number>> {
  const known = await confirmed(session, names, await session.read(knownRows(names, entries)))
  if (known.size > 0) return known
  return sequencesIn(await lockingRead(session, knownRows(names, entries, { lock: 'lock in share mode' })))
}

/**
 * What was committed after the transaction's snapshot.
 *
 * @throws {OutboxError} `busy` where this user may not lock: MySQL before 8.0.22 lets nobody who may only read and
 *   insert. The snapshot of another run shows it.
 */
async function lockingRead(session: Session, text: string): Promise<readonly Row[]> {
  try {
    return await session.read(text)
  } catch (cause) {
    if (!OutboxError.is(cause, 'setup-required')) throw cause
    const message = 'Something was committed since this transaction began: run it again, from its beginning.'
    throw new OutboxError('busy', message, { system: 'mysql' }, { cause })
  }
}

/** A query for each of several parts: of tens of thousands of ids in one MySQL reads the whole table. */
function knownRows(names: Names, entries: readonly NewEntry[], { more = '', lock = '' } = {}): string {
  const queries = inParts(entries).map(
    (part) => `(select hex(id) as id, aggregate_type, aggregate_id, sequence, state = 'pending' as is_pending${more}
    from ${names.entries} ${by(names, 'entries_id')}
    where id in (${part.map(({ id }) => uuidLiteral(id)).join(', ')}) ${lock})`,
  )
  return queries.join('\nunion all\n')
}

function sequencesIn(rows: readonly Row[]): ReadonlyMap<string, number> {
  return new Map(rows.map((row) => [uuidIn(row, 'id'), numberIn(row, 'sequence')]))
}

/**
 * Those of `found` that are there once whoever writes them has ended. At READ UNCOMMITTED a read shows what may yet be
 * rolled back, and nothing tells at which level a transaction is. What is not pending any more was committed: a relay has
 * had it.
 */
async function confirmed(session: Session, names: Names, found: readonly Row[]): Promise<ReadonlyMap<string, number>> {
  const settled = found.filter((row) => !booleanIn(row, 'is_pending'))
  const pending = found.filter((row) => booleanIn(row, 'is_pending'))
  return new Map([...sequencesIn(settled), ...(await waitedFor(session, names, pending))])
}

/**
 * The lock is on the number of an entry, in an index that holds nothing else: no relay locks it there, or changes it,
 * until the entry is purged. The id is read beside it, without a lock: a number that was given back may have gone to
 * another.
 *
 * At REPEATABLE READ the entry may be gone, where the snapshot is older than its publication and its purge since. The
 * lock is on the gap then in which it was, and holds up who inserts there until the transaction ends.
 *
 * Plan: each number by its index, which has all columns that are locked; nothing of the entry itself.
 */
async function waitedFor(session: Session, names: Names, found: readonly Row[]): Promise<ReadonlyMap<string, number>> {
  if (found.length === 0) return new Map()
  const numbers = found.map((row) => {
    const { aggregateType, aggregateId } = nameIn(row)
    return [hexOf(aggregateType), hexOf(aggregateId), numberIn(row, 'sequence'), uuidDigits(uuidIn(row, 'id'))] as const
  })
  // locks are taken in one order everywhere
  numbers.sort(([type, id, sequence], [otherType, otherId, other]) =>
    type === otherType && id === otherId ? sequence - other : `${type} ${id}` < `${otherType} ${otherId}` ? -1 : 1,
  )
  // a table made of JSON cannot stand beside a lock on MySQL: it is a query of its own
  const columns = { of_type: 'hex', of_aggregate: 'hex', of_sequence: 'integer', of_id: 'hex' } as const
  const same = (alias: string): string => `${alias}.aggregate_type = unhex(found.of_type)
      and ${alias}.aggregate_id = unhex(found.of_aggregate) and ${alias}.sequence = found.of_sequence`
  try {
    const rows = await session.read(
      `select ${usualPlan} found.of_id as id, e.sequence, (
        select e.id from ${names.entries} e ${by(names, 'entries_sequence')} where ${same('e')}) = unhex(found.of_id) as is_same
      from (select given.* from ${givenTable('given', columns, numbers)}) found
      straight_join ${names.entries} e ${by(names, 'entries_sequence')} on ${same('e')}
      lock in share mode`,
    )
    return sequencesIn(rows.filter((row) => booleanOrNullIn(row, 'is_same') === true))
  } catch (error) {
    // MySQL before 8.0.22 lets nobody lock who may only read and insert. What was read is taken for committed, which it
    // is but for READ UNCOMMITTED.
    if (!OutboxError.is(error, 'setup-required')) throw error
    return sequencesIn(found)
  }
}

type Conflict = Pick<NumberedEntry, 'aggregateType' | 'aggregateId' | 'sequence'>

/** lookups in one statement */
const conflictsAtOnce = 100

/**
 * Which sequence is taken: by another entry of the batch, or by one that is there.
 *
 * Plan: a lookup for each, in an index that has all that is read. A lock on the entry itself would make the relay wait
 * that publishes it.
 */
export async function findConflict(
  session: Session,
  names: Names,
  entries: readonly NumberedEntry[],
): Promise<Conflict> {
  const [first] = entries
  if (!first) throw new RangeError('A batch without entries has no conflict.')
  // sorted by aggregate and sequence
  const twice = entries.find((entry, index) => isSame(entry, entries[index - 1]))
  if (twice) return twice
  const lookup = `select aggregate_type, aggregate_id, sequence from ${names.entries} ${by(names, 'entries_sequence')}`
  for (const lock of ['', 'lock in share mode']) {
    for (let from = 0; from < entries.length; from += conflictsAtOnce) {
      const some = entries.slice(from, from + conflictsAtOnce)
      const lookups = some.map((entry) => `(${lookup} where ${isAt(entry)} ${lock})`)
      const text = lookups.join(' union all ')
      const [found] = lock === '' ? await session.read(text) : await lockingRead(session, text)
      if (found) return { ...nameIn(found), sequence: numberIn(found, 'sequence') }
    }
  }
  return first
}

function isAt({ aggregateType, aggregateId, sequence }: NumberedEntry): string {
  return `aggregate_type = ${textLiteral(aggregateType)} and aggregate_id = ${textLiteral(aggregateId)} and sequence = ${sequence}`
}

function isSame(entry: NumberedEntry, other: NumberedEntry | undefined): boolean {
  return (
    entry.aggregateType === other?.aggregateType &&
    entry.aggregateId === other.aggregateId &&
    entry.sequence === other.sequence
  )
}
