import { Commits } from '../shared/commits.ts'
import { booleanIn, textIn } from './rows.ts'
import type { Session } from './session.ts'
import { arrayOf } from './statement.ts'

const patienceMs = 60_000

/**
 * Commits of this process, known by their transaction ids; those who wait in others are told on the database's channel.
 *
 * It asks PostgreSQL what became of them: a notification inside the producer's transaction would make all commits of
 * the database wait for each other.
 *
 * @param channel - where to notify; undefined: only this process is told
 */
export function commitsOf(session: Session, channel: string | undefined): Commits {
  const notified = channel === undefined ? 'null' : `pg_notify('${channel}', '')::text`
  const text = `
with ended as materialized (
  select id, pg_xact_status(id) as status from unnest($1::text::xid8[]) id
)
select coalesce(string_agg(id::text, ' ') filter (where status = 'in progress'), '') as open,
  coalesce(bool_or(status = 'committed'), false) as any_committed,
  case when bool_or(status = 'committed') then ${notified} end as notified
from ended`
  return new Commits({
    patienceMs,
    tellsOthers: channel !== undefined,
    async look(transactionIds) {
      const [row] = await session.run({ text, values: [arrayOf(transactionIds)] })
      if (!row) return { settled: [], anyCommitted: false }
      const open = new Set(textIn(row, 'open').split(' '))
      return { settled: transactionIds.filter((id) => !open.has(id)), anyCommitted: booleanIn(row, 'any_committed') }
    },
  })
}
