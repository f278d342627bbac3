import type { CallOptions, StoreStats } from '@outbox/core'
import type { Names } from '../names.ts'
import type { Session } from '../session.ts'
import { stats as markStats } from '../stats.ts'
import { allCursors, standsAsideOfAll, unpassedRows } from './cursor.ts'

/** `LeasedSource.stats`: the log adds what its cursors have not passed, and nobody has moved aside. */
export function stats(session: Session, names: Names, options?: CallOptions): Promise<StoreStats> {
  const owed = `
  select cursor.partition, count(*) as count, min(l.enqueued_at) as oldest
  from (${allCursors(names)}) cursor
  cross join lateral (
    select * from (${unpassedRows(names, 'cursor', 'id, position, enqueued_at')}) l
    where not ${standsAsideOfAll(names, 'l')}
  ) l
  group by cursor.partition`
  return markStats(session, names, options, owed)
}
