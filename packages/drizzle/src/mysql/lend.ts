import type { DueEntry, FetchRequest } from '@outbox/core'
import { aggregateKey, groupedBy } from '@outbox/core/adapter'
import { lentContent } from './content.ts'
import type { AskEnds } from './ends.ts'
import { standingCondition } from './fence.ts'
import type { Found } from './found.ts'
import { byKey } from './indexes.ts'
import { isOneOf, numberList } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn, textIn, textOrNullIn } from './rows.ts'
import type { Session } from './session.ts'
import { type Standing, standingLeases } from './standing.ts'

/**
 * Notes entries under their leases, and lends those whose leases stood.
 *
 * No lease comes back. So one that stands when the note is written stood when the entries were read; and where as much
 * was settled under it as before, none of them was settled since.
 *
 * @param standing - leases that stood before the entries were read; the notes of all of them are replaced
 */
export async function lend(
  session: Session,
  names: Names,
  request: FetchRequest,
  standing: readonly Standing[],
  found: readonly Found[],
  askEnds: AskEnds,
): Promise<readonly DueEntry[]> {
  const noted = await note(session, names, request, standing, found)
  const lent = found.filter(({ partition }) => noted.has(partition))
  const payloads = await largePayloads(session, names, request, lent)
  const late = await latePositions(lent, askEnds)
  return lent.flatMap(({ partition, position, columns }) => {
    const [by, large] = [noted.get(partition), payloads.get(position)]
    if (!by || (columns['payload'] === null && large === undefined)) return []
    const entry = lentContent(large === undefined ? columns : { ...columns, payload: large })
    return [{ ...entry, lease: by.lease, source: by.source, isLate: late.has(position) }]
  })
}

/**
 * The positions of those entries that came late, when a higher sequence of their aggregate had been published.
 *
 * Only where callers number: a sequence above can have been published only because this one was committed after it. A
 * requeued entry was there in time: it died, and others were let past.
 */
async function latePositions(lent: readonly Found[], askEnds: AskEnds): Promise<ReadonlySet<number>> {
  const inQuestion = lent.filter(
    ({ columns }) => textOrNullIn(columns, 'numbered_by') === 'caller' && numberIn(columns, 'requeues') === 0,
  )
  const ends = await askEnds(inQuestion)
  const late = inQuestion.filter((entry) => entry.sequence < (ends.get(aggregateKey(entry))?.published ?? 0))
  return new Set(late.map(({ position }) => position))
}

/** @returns those that stood when the note was written, by partition */
async function note(
  session: Session,
  names: Names,
  request: FetchRequest,
  standing: readonly Standing[],
  found: readonly Found[],
): Promise<ReadonlyMap<number, Standing>> {
  const byPartition = groupedBy(found, ({ partition }) => partition)
  const toNote = standing.filter(({ lease, hasNotes }) => hasNotes || byPartition.has(lease.partition))
  if (toNote.length === 0) return new Map()
  const { affectedRows } = await session.write(noteStatement(names, toNote, byPartition), request)
  // fewer: one does not stand as it did, or what is noted is what was
  const noted = affectedRows === toNote.length ? toNote : await thoseAsBefore(session, names, request, toNote)
  return new Map(noted.map((one) => [one.lease.partition, one]))
}

async function thoseAsBefore(
  session: Session,
  names: Names,
  request: FetchRequest,
  before: readonly Standing[],
): Promise<readonly Standing[]> {
  const settles = new Map(before.map((one) => [one.lease.partition, one.settles]))
  const leases = before.map(({ lease }) => lease)
  const now = await standingLeases(session, names, request, leases)
  return now.filter((one) => one.settles === settles.get(one.lease.partition))
}

/** One row of the leases each, found by its key, and changed only if the lease stands as it did. */
function noteStatement(
  names: Names,
  standing: readonly Standing[],
  found: ReadonlyMap<number, readonly Found[]>,
): string {
  const leases = standing.map(({ lease }) => lease)
  const notes = leases.map(({ partition }) => {
    const positions = (found.get(partition) ?? []).map(({ position }) => position)
    return `when ${partition} then '[${positions.join(', ')}]'`
  })
  const settles = standing.map((one) => `when ${one.lease.partition} then ${one.settles}`)
  return `update ${names.leases} ${byKey}
set in_flight = case \`partition\` ${notes.join(' ')} else in_flight end, noted_after = settles
where \`partition\` in ${numberList(leases.map(({ partition }) => partition))} and ${standingCondition(leases)}
  and settles = case \`partition\` ${settles.join(' ')} end`
}

/** What was left out when the entries were found. It never changes. */
async function largePayloads(
  session: Session,
  { entries }: Names,
  request: FetchRequest,
  lent: readonly Found[],
): Promise<ReadonlyMap<number, string>> {
  const large = lent.filter(({ columns }) => columns['payload'] === null)
  if (large.length === 0) return new Map()
  const rows = await session.read(
    `select position, cast(payload as binary) as payload from ${entries} ${byKey}
    where ${isOneOf(
      'position',
      large.map(({ position }) => `${position}`),
    )}`,
    request,
  )
  return new Map(rows.map((row) => [numberIn(row, 'position'), textIn(row, 'payload')]))
}
