import { randomBytes } from 'node:crypto'
import { event } from '@outbox/core'
import pg from 'pg'
import type { Setting } from './contestant.ts'
import { pieces } from './due.ts'
import { aggregateOf } from './rows.ts'
import { postgresStore } from './stores/postgres.ts'

/** The aggregate that has a part of the backlog to itself. */
export const hotAggregate = 'order-hot'

/** Rows that one statement writes, and bytes of a transaction of the seed. */
const rowsAtOnce = 50_000
const bytesAtOnce = 4_000_000

/**
 * Makes an outbox with `kept` rows that were published, and behind them `backlog` entries that are pending.
 *
 * Some events of every aggregate are enqueued, as by an application; the server then copies them: each copy continues
 * the sequences, and has ids that ascend as UUIDv7 do. The table is as tidy as a vacuum in time leaves it.
 */
export async function fillOutbox(setting: Setting): Promise<void> {
  const { rows, backlog = rows, kept = 0 } = setting
  const total = kept + backlog
  const seed = Array.from({ length: Math.min(total, seedLength(setting)) }, (_, n) => seedEvent(n, setting))
  await enqueueAll(setting, seed)
  const client = new pg.Client(setting.url)
  await client.connect()
  await client.query(takeSeed)
  const startMs = Date.now() - total
  const copies = Math.ceil(total / seed.length)
  const copiesAtOnce = Math.ceil(rowsAtOnce / seed.length)
  let written = 0
  for (let copy = 0; copy < copies; copy += copiesAtOnce) {
    const last = Math.min(copies, copy + copiesAtOnce) - 1
    const { rowCount } = await client.query(copySeed, [copy, last, seed.length, startMs, kept, total])
    written += rowCount ?? 0
  }
  if (written !== total) throw new Error(`${written} rows were made instead of ${total}`)
  await client.query('update outbox_sequences set last_sequence = last_sequence * $1::bigint', [copies])
  await client.end()
}

const takeSeed = `
create temporary table seed as
select row_number() over (order by position) - 1 as nth, partition, aggregate_type, aggregate_id, event_type, sequence,
  payload, headers, last_sequence
from outbox_entries join outbox_sequences using (aggregate_type, aggregate_id);
truncate outbox_entries;
analyze seed`

const copySeed = `
insert into outbox_entries
  (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at, enqueued_at,
    state, settled_at)
select (lpad(to_hex(ms), 12, '0') || '7' || substr(random, 1, 3) || '8' || substr(random, 4, 15))::uuid, partition,
  aggregate_type, aggregate_id, event_type, sequence + copy * last_sequence, payload, headers, at, at,
  case when ordinal < $5::bigint then 'published' else 'pending' end, case when ordinal < $5::bigint then at end
from (
  select *, $4::bigint + ordinal as ms, to_timestamp(($4::bigint + ordinal) / 1000.0) as at, md5(ordinal::text) as random
  from (
    select seed.*, copy, copy * $3::bigint + nth as ordinal
    from generate_series($1::bigint, $2::bigint) copy cross join seed
  ) copied
) dated
where ordinal < $6::bigint
order by ordinal`

/** every aggregate's turn, and those of the hot one between them */
function seedLength({ aggregates, hotShare = 0 }: Setting): number {
  return Math.round(aggregates / (1 - hotShare))
}

function seedEvent(n: number, setting: Setting) {
  const { payloadBytes, hotShare = 0 } = setting
  const hotBefore = Math.floor(n * hotShare)
  const isHot = Math.floor((n + 1) * hotShare) > hotBefore
  return event('order.placed', {
    aggregateId: isHot ? hotAggregate : aggregateOf(n - hotBefore, setting),
    payload: { number: n, note: incompressible(Math.max(0, payloadBytes - 30)) },
  })
}

/** The server compresses what is large: of text that repeats itself it would read and write next to nothing. */
function incompressible(length: number): string {
  return randomBytes(length).toString('base64').slice(0, length)
}

async function enqueueAll({ url, payloadBytes }: Setting, events: readonly ReturnType<typeof event>[]): Promise<void> {
  const store = postgresStore()
  await store.create(url)
  const { commit, close } = await store.open(url)
  const atOnce = Math.min(1000, Math.ceil(bytesAtOnce / Math.max(1, payloadBytes)))
  for (const piece of pieces(events, atOnce)) await commit(piece)
  await close()
}
