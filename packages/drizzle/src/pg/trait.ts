import { type CallOptions, isUuid, type OutboxEntry } from '@outbox/core'
import { content, contentColumns } from './content.ts'
import type { Names } from './names.ts'
import { beginning, everyPartition } from './plans.ts'
import type { Session } from './session.ts'
import { arrayOf, idsGiven, whole } from './statement.ts'
import { isPending, pendingStates } from './states.ts'

/**
 * `OutboxSource.fetchUnpublished`: the fronts of all partitions, each one range of the index `entries_scan`, merged.
 */
export async function fetchUnpublished(
  session: Session,
  { entries }: Names,
  limit: number,
  options?: CallOptions,
): Promise<readonly OutboxEntry[]> {
  const text = `
with oldest as materialized (
  select front.id, front.position
  from ${fronts(entries, '$1::text::bigint')}
  order by front.position
  limit $1::text::bigint
)
select ${contentColumns('e')}
from oldest join ${entries} e using (id)
order by oldest.position`
  const rows = await session.run({ text, values: [String(whole(limit))] }, options)
  return rows.map((row) => ({ ...content(row), published: false, publishedAt: null }))
}

/** `OutboxSource.markPublished`: no lease, no fence; dead entries stay dead. */
export async function markPublished(
  session: Session,
  { entries }: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<void> {
  await session.run({ text: marking(entries), values: [arrayOf(ids.filter(isUuid))] }, options)
}

/** SQL for the oldest pending entries of each partition, `front`, as many of each as the limit says. */
export function fronts(entries: string, limit: string): string {
  return `${everyPartition} p
  cross join (values ('pending'), ('parked')) s (state)
  cross join lateral (
    ${beginning({
      columns: 'e.id, e.position',
      from: `${entries} e`,
      where: `e.partition = p.partition and e.state = s.state and e.state in ${pendingStates}`,
      orderBy: 'e.position',
      limit,
    })}
  ) front`
}

/** SQL that marks the entries whose ids are the first value. */
export function marking(entries: string): string {
  return `update ${entries} e set state = 'published', settled_at = now(), crashes = 0, reason = null
  from ${idsGiven}
  where e.id = given.id and ${isPending('e')}`
}
