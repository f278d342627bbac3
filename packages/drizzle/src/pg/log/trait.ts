import { type CallOptions, isUuid, type OutboxEntry } from '@outbox/core'
import { columnsOf, content, contentColumns } from '../content.ts'
import type { Names } from '../names.ts'
import type { Session } from '../session.ts'
import { arrayOf, idsGiven, whole } from '../statement.ts'
import { fronts, marking } from '../trait.ts'
import { allCursors, isPassed, moveAside, movedColumns, rowOf, standsAside, unpassedRows } from './cursor.ts'

/** `OutboxSource.fetchUnpublished`: what stands aside, and what the log has not passed, by their common positions. */
export async function fetchUnpublished(
  session: Session,
  names: Names,
  limit: number,
  options?: CallOptions,
): Promise<readonly OutboxEntry[]> {
  const { entries, log } = names
  const text = `
with cursor as materialized (${allCursors(names)}),
oldest as materialized (
  select *
  from (
    select front.id, front.position, null::smallint as slot
    from ${fronts(entries, '$1::text::bigint')}
    union all
    select l.id, l.position, l.slot
    from cursor
    cross join lateral (
      select * from (${unpassedRows(names, 'cursor', 'id, position, slot', {
        limit: '$1::text::bigint',
        where: `not ${standsAside(names, 'l')}`,
      })}) l
      order by l.position
      limit $1::text::bigint
    ) l
  ) fronts
  order by position
  limit $1::text::bigint
)
select found.*
from oldest
cross join lateral (
  select ${contentColumns('e')} from ${entries} e where oldest.slot is null and e.id = oldest.id
  union all
  select ${contentColumns('l')} from ${log} l where l.slot = oldest.slot and l.id = oldest.id
) found
order by oldest.position`
  const rows = await session.run({ text, values: [String(whole(limit))] }, options)
  return rows.map((row) => ({ ...content(row), published: false, publishedAt: null }))
}

/** `OutboxSource.markPublished`: an entry of the log is noted aside as published, and passed over from then on. */
export async function markPublished(
  session: Session,
  names: Names,
  ids: readonly string[],
  options?: CallOptions,
): Promise<void> {
  const { entries } = names
  const text = `
with cursor as materialized (${allCursors(names)}),
found as materialized (
  select l.*
  from ${idsGiven}
  cross join lateral (${rowOf(names, 'given.id', `${movedColumns}, xid`)}) l
),
marked as (
  ${marking(entries)}
)
${moveAside(
  names,
  `from (
    select ${columnsOf('l', movedColumns)}
    from found l join cursor on cursor.partition = l.partition
    where not ${isPassed('l', 'cursor')}
  ) lifted`,
  { state: "'published'", settled_at: 'now()' },
)}`
  await session.run({ text, values: [arrayOf(ids.filter(isUuid))] }, options)
}
