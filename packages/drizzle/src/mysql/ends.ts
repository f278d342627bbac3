import type { FetchRequest } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { Found } from './found.ts'
import { by, byKey, inOrder } from './indexes.ts'
import { isOneOf } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn, numberOrNullIn } from './rows.ts'
import type { Session } from './session.ts'

/** Of an aggregate. */
export interface Ends {
  /** its lowest sequence that is pending */
  readonly pending: number | null
  /** its highest sequence that was published */
  readonly published: number | null
}

/** Tells the ends of the aggregates of entries, by `aggregateKey`; of each it asks the server once. */
export type AskEnds = (entries: readonly Found[]) => Promise<ReadonlyMap<string, Ends>>

/**
 * For one fetch. It may read after the entries were read. If one of them was settled before the note, that finds it, and
 * nothing is lent.
 *
 * Plan: for each aggregate one of its entries by its key, and two looks into the index of the order. Not for each entry:
 * while an old snapshot is open, what was settled or purged there stays, and is passed each time. Not what is right
 * before an entry, either: neither server seeks by a bound that another row gives, and of a long backlog it would walk
 * through all that is above.
 */
export function endsAsker(session: Session, names: Names, request: FetchRequest): AskEnds {
  const { entries: table } = names
  const known = new Map<string, Ends>()
  return async (entries) => {
    const asked = new Map(
      entries.flatMap((entry) => {
        const key = aggregateKey(entry)
        return known.has(key) ? [] : [[key, entry.position] as const]
      }),
    )
    if (asked.size === 0) return known
    const end = (state: string, direction: '' | ' desc'): string => `(
      select o.sequence from ${table} o ${by(names, 'entries_order')}
      where o.aggregate_type = e.aggregate_type and o.aggregate_id = e.aggregate_id and o.state = '${state}'
      ${inOrder('o', direction)})`
    const rows = await session.read(
      `select e.position, ${end('pending', '')} as pending, ${end('published', ' desc')} as published
      from ${table} e ${byKey}
      where ${isOneOf('e.position', [...asked.values()].map(String))}`,
      request,
    )
    const ends = new Map(
      rows.map((row) => [
        numberIn(row, 'position'),
        { pending: numberOrNullIn(row, 'pending'), published: numberOrNullIn(row, 'published') },
      ]),
    )
    for (const [key, position] of asked) known.set(key, ends.get(position) ?? { pending: null, published: null })
    return known
  }
}
