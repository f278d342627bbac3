import { type CallOptions, isUuid, type OutboxEntry, partitionCount } from '@outbox/core'
import { content, contentColumns, now } from './content.ts'
import { by, byKey, forEachPartition } from './indexes.ts'
import { givenTable, uuidDigits, whole } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn } from './rows.ts'
import type { Session } from './session.ts'

export const allPartitions: readonly number[] = Array.from({ length: partitionCount }, (_, partition) => partition)

/** Where pending entries are. */
export const places: readonly string[] = ['scanned', 'parked', 'suspect']

/** `OutboxSource.fetchUnpublished`: the fronts of all partitions, each a few ranges of the index of the scan, merged. */
export async function fetchUnpublished(
  session: Session,
  names: Names,
  limit: number,
  options?: CallOptions,
): Promise<readonly OutboxEntry[]> {
  const { entries } = names
  const fronts = places.map((place) =>
    forEachPartition(
      allPartitions,
      (partition) =>
        `select position from ${entries} ${by(names, 'entries_scan')}
        where \`partition\` = ${partition} and state = 'pending' and place = '${place}'
        order by position limit ${whole(limit)}`,
    ),
  )
  const rows = await session.read(
    `select ${contentColumns('e')}
    from (select position from (${fronts.join('\nunion all\n')}) front order by position limit ${whole(limit)}) oldest
    straight_join ${entries} e ${byKey} on e.position = oldest.position
    order by oldest.position`,
    options,
  )
  return rows.map((row) => ({
    ...content(row),
    partition: numberIn(row, 'partition'),
    published: false,
    publishedAt: null,
  }))
}

/** `OutboxSource.markPublished`: no lease, no fence; dead entries stay dead. */
export async function markPublished(
  session: Session,
  names: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<void> {
  const rows = ids.filter(isUuid).map((id) => [uuidDigits(id)])
  if (rows.length === 0) return
  await session.write(
    `update ${givenTable('given', { of_id: 'hex' }, rows)}
    straight_join ${names.entries} e ${by(names, 'entries_id')} on e.id = unhex(given.of_id) and e.state = 'pending'
    set e.state = 'published', e.place = 'scanned', e.settled_at = ${now}, e.crashes = 0, e.reason = null`,
    options,
  )
}
