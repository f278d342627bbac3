import type { NewEntry } from '@outbox/core'
import type { NumberedEntry } from './enqueue.ts'
import { nameIn } from './found.ts'
import { by, byKey } from './indexes.ts'
import { textLiteral, uuidLiteral } from './literals.ts'
import type { Names } from './names.ts'
import { numberingIn, numberingKeys } from './numbering.ts'
import { numberIn, uuidIn } from './rows.ts'
import type { Session } from './session.ts'

export interface KnownAndDeclared {
  /** sequences by id, of the entries that are there */
  readonly known: ReadonlyMap<string, number>
  /** who numbers each aggregate type, as far as it is written down */
  readonly declared: ReadonlyMap<string, string>
}

/** One read without a lock: it sees the caller's own writes, and what its snapshot shows of others'. */
export async function knownAndDeclared(
  session: Session,
  names: Names,
  entries: readonly NewEntry[],
): Promise<KnownAndDeclared> {
  const ids = entries.map(({ id }) => uuidLiteral(id))
  const known = `select hex(id) as id, sequence, null as \`key\`, null as value from ${names.entries} ${by(names, 'entries_id')}
    where id in (${ids.join(', ')})`
  const types = new Set(entries.map(({ aggregateType }) => aggregateType))
  const rows = await session.read(
    `${known}
    union all
    select null as id, null as sequence, \`key\`, value from ${names.meta} ${byKey}
    where \`key\` in (${numberingKeys(types)})`,
  )
  const found = rows.filter((row) => row['id'] !== null)
  return {
    known: new Map(found.map((row) => [uuidIn(row, 'id'), numberIn(row, 'sequence')])),
    declared: numberingIn(rows.filter((row) => row['id'] === null)),
  }
}

/**
 * The entries that an insert has just met. The caller's snapshot may not show them; a locking read does, and it is
 * only made where the snapshot shows none, because it keeps others from inserting beside what it reads.
 */
export async function knownAmong(
  session: Session,
  names: Names,
  entries: readonly NewEntry[],
): Promise<ReadonlyMap<string, number>> {
  for (const lock of ['', 'lock in share mode']) {
    const rows = await session.read(
      `select hex(id) as id, sequence from ${names.entries} ${by(names, 'entries_id')}
      where id in (${entries.map(({ id }) => uuidLiteral(id)).join(', ')}) ${lock}`,
    )
    if (rows.length > 0) return new Map(rows.map((row) => [uuidIn(row, 'id'), numberIn(row, 'sequence')]))
  }
  return new Map()
}

type Conflict = Pick<NumberedEntry, 'aggregateType' | 'aggregateId' | 'sequence'>

/** So few that each is a lookup of its own, whatever the server allows its optimizer. */
const conflictsAtOnce = 100

/** Which sequence is taken: by another entry of the batch, or by one that is there. */
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
  for (const lock of ['', 'lock in share mode']) {
    for (let from = 0; from < entries.length; from += conflictsAtOnce) {
      const keys = entries.slice(from, from + conflictsAtOnce).map(keyLiteral)
      const [found] = await session.read(
        `select aggregate_type, aggregate_id, sequence from ${names.entries} ${by(names, 'entries_sequence')}
        where (aggregate_type, aggregate_id, sequence) in (${keys.join(', ')}) limit 1 ${lock}`,
      )
      if (found) return { ...nameIn(found), sequence: numberIn(found, 'sequence') }
    }
  }
  return first
}

function keyLiteral({ aggregateType, aggregateId, sequence }: NumberedEntry): string {
  return `(${textLiteral(aggregateType)}, ${textLiteral(aggregateId)}, ${sequence})`
}

function isSame(entry: NumberedEntry, other: NumberedEntry | undefined): boolean {
  return (
    entry.aggregateType === other?.aggregateType &&
    entry.aggregateId === other.aggregateId &&
    entry.sequence === other.sequence
  )
}
