import type { NewEntry } from '@outbox/core'
import { aggregateKey, mixedSequences } from '@outbox/core/adapter'
import { nameIn } from './found.ts'
import type { MysqlTransaction } from './handles.ts'
import { byKey, usualPlan } from './indexes.ts'
import { type GivenType, givenTable, hexOf, textLiteral } from './literals.ts'
import type { Names } from './names.ts'
import { writeWhileOpen } from './open-transaction.ts'
import type { Purpose } from './privileges.ts'
import { numberIn, type Row, textIn } from './rows.ts'
import { type Session, sessionIn } from './session.ts'

/** Who numbers an aggregate type. Written down once, by its first transaction, in the table `meta`. */
type Numbering = 'caller' | 'store'

const numberingPrefix = 'sequence-source:'

/** How each aggregate type of a batch is numbered, in the order in which it is written down. */
export function numberingOf(entries: readonly NewEntry[]): ReadonlyMap<string, Numbering> {
  const numbering = new Map<string, Numbering>()
  for (const { aggregateType, sequence } of entries)
    numbering.set(aggregateType, sequence === undefined ? 'store' : 'caller')
  return new Map([...numbering].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What rows of `meta` say of aggregate types. */
export function numberingIn(rows: readonly Row[]): ReadonlyMap<string, string> {
  return new Map(rows.map((row) => [textIn(row, 'key').slice(numberingPrefix.length), textIn(row, 'value')]))
}

export function numberingKeys(types: Iterable<string>): string {
  return [...types].map((type) => textLiteral(`${numberingPrefix}${type}`)).join(', ')
}

/**
 * Sees to it that each type is numbered as the batch numbers it; writes it down where nobody has.
 *
 * What agrees with the batch is believed: a lock would cost every `enqueue` a round trip. At READ UNCOMMITTED it may yet
 * be rolled back; then it is written down anew by the type's next event, whichever way that is numbered.
 *
 * @param known - what a read of the transaction's has shown: at REPEATABLE READ of long ago
 * @throws {OutboxError} `sequence-source-mixed`
 */
export async function agree(
  handle: MysqlTransaction,
  purpose: Purpose,
  wanted: ReadonlyMap<string, Numbering>,
  known: ReadonlyMap<string, string>,
): Promise<void> {
  const undeclared = [...wanted].filter(([type, by]) => known.get(type) !== by)
  if (undeclared.length === 0) return
  const { meta } = purpose.names
  const rows = undeclared.map(([type, by]) => `(${textLiteral(`${numberingPrefix}${type}`)}, '${by}')`)
  // waits for a transaction that declares the same type at this moment, and changes nothing if it commits
  await writeWhileOpen(
    handle,
    `insert into ${meta} (\`key\`, value) values ${rows.join(', ')} on duplicate key update value = value`,
    purpose,
  )
  // a locking read shows what was committed meanwhile
  const declared = await sessionIn(handle, purpose).read(
    `select \`key\`, value from ${meta} where \`key\` in (${numberingKeys(undeclared.map(([type]) => type))}) lock in share mode`,
  )
  refuseMixed(wanted, numberingIn(declared))
}

function refuseMixed(wanted: ReadonlyMap<string, Numbering>, found: ReadonlyMap<string, string>): void {
  for (const [type, by] of wanted) {
    const written = found.get(type)
    if (written !== undefined && written !== by) throw mixedSequences(type)
  }
}

/** The next number of each aggregate, by `aggregateKey`. */
export type Counters = Map<string, number>

/**
 * Gives numbers to the entries that the store numbers.
 *
 * The counters' rows stay locked until the transaction ends, so the order of numbers is the order of commits. They are
 * locked in the order of the batch, which is the same for everybody. A number is never given back, not even one of an
 * entry that turns out to be there already: should the transaction have ended meanwhile, others have gone on from it.
 *
 * @returns the first number given to each aggregate
 */
export async function takeNumbers(
  handle: MysqlTransaction,
  purpose: Purpose,
  entries: readonly NewEntry[],
): Promise<Counters> {
  const counts = countByAggregate(entries)
  if (counts.size === 0) return new Map()
  const written = await sessionIn(handle, purpose).write(counterStatement(purpose.names, counts))
  const [only, ...others] = counts.values()
  if (only && others.length === 0) {
    return new Map([[aggregateKey(only.entry), written.insertId - only.count + 1]])
  }
  const last = await lastNumbers(sessionIn(handle, purpose), purpose.names, counts)
  return new Map([...counts].map(([key, { count }]) => [key, (last.get(key) ?? 0) - count + 1]))
}

interface Count {
  /** of the aggregate: the first */
  readonly entry: NewEntry
  readonly count: number
}

function countByAggregate(entries: readonly NewEntry[]): ReadonlyMap<string, Count> {
  const counts = new Map<string, Count>()
  for (const entry of entries) {
    if (entry.sequence !== undefined) continue
    const key = aggregateKey(entry)
    const known = counts.get(key)
    counts.set(key, { entry: known?.entry ?? entry, count: (known?.count ?? 0) + 1 })
  }
  return counts
}

const countColumns = { of_type: 'hex', of_id: 'hex', of_batch: 'integer' } as const satisfies Record<string, GivenType>

function givenCounts(counts: ReadonlyMap<string, Count>): string {
  const rows = [...counts.values()].map(
    ({ entry, count }) => [hexOf(entry.aggregateType), hexOf(entry.aggregateId), count] as const,
  )
  return givenTable('counted', countColumns, rows)
}

/** `last_insert_id(…)` tells the client the last number of all: of the only aggregate, nearly always. */
function counterStatement({ sequences }: Names, counts: ReadonlyMap<string, Count>): string {
  return `insert into ${sequences} (aggregate_type, aggregate_id, last_sequence)
select unhex(counted.of_type), unhex(counted.of_id), last_insert_id(counted.of_batch)
from ${givenCounts(counts)}
order by counted.nth
on duplicate key update last_sequence = last_insert_id(last_sequence + counted.of_batch)`
}

async function lastNumbers(
  session: Session,
  { sequences }: Names,
  counts: ReadonlyMap<string, Count>,
): Promise<ReadonlyMap<string, number>> {
  const rows = await session.read(
    `select ${usualPlan} s.aggregate_type, s.aggregate_id, s.last_sequence
    from ${givenCounts(counts)} straight_join ${sequences} s ${byKey}
      on s.aggregate_type = unhex(counted.of_type) and s.aggregate_id = unhex(counted.of_id)`,
  )
  return new Map(rows.map((row) => [aggregateKey(nameIn(row)), numberIn(row, 'last_sequence')]))
}
