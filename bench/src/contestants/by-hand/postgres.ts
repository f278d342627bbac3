import pg from 'pg'
import type { Contestant } from '../../contestant.ts'
import { aggregateSql, payloadSql } from '../../rows.ts'

const lanes = 4
const batchSize = 500
const partitions = 64

/**
 * The tightest loop with our guarantee, and with nothing else: no retries, no dead letters, no taking over, no limits.
 *
 * Each lane owns some of the partitions. It reads what is pending in them, in order, and marks it, in a statement that
 * holds its leases' rows (FOR SHARE) so that whoever takes them over waits, and finds it marked.
 */
export const contestant: Contestant = {
  title: 'hand-written loop',
  role: 'ceiling',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true, but: 'no retries, no dead letters' },
  tuning: `${lanes} lanes over ${partitions} hash partitions, batches of ${batchSize}, prepared statements, rows as text`,
  async prepare(setting) {
    const client = new pg.Client(setting.url)
    await client.connect()
    await client.query(`
      create table outbox (
        id bigint generated always as identity primary key,
        partition smallint not null, aggregate_id text not null, event_type text not null, sequence bigint not null,
        payload json not null, occurred_at timestamptz not null default now(), published_at timestamptz
      );
      create index outbox_pending on outbox (partition, id) where published_at is null;
      create table leases (partition smallint primary key, holder text not null, epoch bigint not null);
      insert into leases select n, 'me', 1 from generate_series(0, ${partitions - 1}) n;
      insert into outbox (partition, aggregate_id, event_type, sequence, payload)
      select abs(hashtext(${aggregateSql(setting)})) % ${partitions}, ${aggregateSql(setting)}, 'order.placed',
        n / ${setting.aggregates} + 1, ${payloadSql(setting)}
      from generate_series(0, ${setting.rows - 1}) n`)
    await client.end()
  },
  async open({ url }) {
    const clients = await Promise.all(
      Array.from({ length: lanes }, async () => {
        const client = new pg.Client(url)
        await client.connect()
        return client
      }),
    )
    const first = clients[0]
    return {
      async run() {
        await Promise.all(clients.map((client, lane) => drain(client, lane)))
        return undefined
      },
      left: async () =>
        Number((await first?.query('select count(*) from outbox where published_at is null'))?.rows[0]?.count),
      async [Symbol.asyncDispose]() {
        await Promise.all(clients.map((client) => client.end()))
      },
    }
  },
}

/** index scans of the pending, partition by partition */
const fetch = `
select o.id, o.partition, o.aggregate_id, o.event_type, o.sequence, o.payload::text, o.occurred_at
from unnest($1::smallint[]) p cross join lateral (
  select * from outbox where partition = p and published_at is null order by id limit $2
) o
limit ${batchSize}`

const settle = `
with fence as materialized (
  select partition from leases where partition = any($1::smallint[]) and holder = $2 and epoch = $3
  order by partition for share
)
update outbox o set published_at = now() from fence, unnest($4::bigint[]) as done (id)
where o.id = done.id and o.partition = fence.partition`

const asText = { getTypeParser: () => (text: string) => text }

async function drain(client: pg.Client, lane: number): Promise<void> {
  const mine = Array.from({ length: partitions / lanes }, (_, index) => index * lanes + lane)
  for (;;) {
    const { rows } = await client.query<string[]>({
      name: 'fetch',
      text: fetch,
      values: [mine, Math.ceil((2 * batchSize) / mine.length)],
      rowMode: 'array',
      types: asText,
    })
    if (rows.length === 0) return
    // the publisher that does nothing
    await client.query({ name: 'settle', text: settle, values: [mine, 'me', 1, `{${rows.map(([id]) => id).join()}}`] })
  }
}
