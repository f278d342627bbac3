import { Commits } from '../shared/commits.ts'
import { textIn } from './rows.ts'
import type { Session } from './session.ts'
import { signal } from './signals.ts'
import { arrayOf } from './statement.ts'

const patienceMs = 60_000

/**
 * Commits of this process, known by their transaction ids; those who wait in others are told on the database's channel.
 *
 * It asks PostgreSQL what became of them: a notification inside the producer's transaction would make all commits of
 * the database wait for each other.
 *
 * @param origin - as whom it notifies
 * @param channel - where to notify; undefined: only this process is told
 */
export function commitsOf(session: Session, origin: string, channel: string | undefined): Commits {
  const notified = channel === undefined ? '$2::text' : `pg_notify('${channel}', $2::text)::text`
  const text = `
with ended as materialized (
  select id, pg_xact_status(id) as status from unnest($1::text::xid8[]) id
)
select coalesce(string_agg(id::text, ' ') filter (where status = 'in progress'), '') as open,
  coalesce(string_agg(id::text, ' ') filter (where status = 'committed'), '') as committed,
  case when bool_or(status = 'committed') then ${notified} end as notified
from ended`
  return new Commits({
    patienceMs,
    tellsOthers: channel !== undefined,
    async ask(expected) {
      const names = expected.map(({ name }) => name)
      // of those that are still open too: to leave them out is not worth a longer statement
      const told = signal(
        origin,
        expected.flatMap(({ partitions }) => partitions),
      )
      const [row] = await session.run({ name: 'ended', text, values: [arrayOf(names), told] })
      if (!row) return { settled: [], committed: [] }
      const open = new Set(textIn(row, 'open').split(' '))
      return { settled: names.filter((name) => !open.has(name)), committed: textIn(row, 'committed').split(' ') }
    },
  })
}
