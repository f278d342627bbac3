import pg from 'pg'
import type { Contestant } from '../../contestant.ts'
import { aggregateSql, payloadSql } from '../../rows.ts'

const batchSize = 500

/**
 * What a log could be read with at best: rows are never written again, one cursor is.
 *
 * As it stands it loses rows that are committed behind the cursor: it is a measure, and no outbox.
 */
export const contestant: Contestant = {
  title: 'raw cursor read',
  role: 'ceiling',
  guarantee: { order: 'of the whole table', isFenced: true, isDurable: true, but: 'loses late commits' },
  tuning: `one loop, batches of ${batchSize}, prepared statements, rows as text`,
  async prepare(setting) {
    const client = new pg.Client(setting.url)
    await client.connect()
    await client.query(`
      create table log (
        position bigint generated always as identity primary key,
        aggregate_id text not null, event_type text not null, sequence bigint not null,
        payload json not null, occurred_at timestamptz not null default now()
      );
      create table cursor (name text primary key, holder text not null, epoch bigint not null, position bigint not null);
      insert into cursor values ('relay', 'me', 1, 0);
      insert into log (aggregate_id, event_type, sequence, payload)
      select ${aggregateSql(setting)}, 'order.placed', n / ${setting.aggregates} + 1, ${payloadSql(setting)}
      from generate_series(0, ${setting.rows - 1}) n`)
    await client.end()
  },
  async open({ url }) {
    const client = new pg.Client(url)
    await client.connect()
    return {
      async run() {
        await drain(client)
        return undefined
      },
      left: async () =>
        Number(
          (await client.query('select count(*) from log, cursor where log.position > cursor.position')).rows[0]?.count,
        ),
      [Symbol.asyncDispose]: () => client.end(),
    }
  },
}

const fetch = `
select position, aggregate_id, event_type, sequence, payload::text, occurred_at
from log where position > $1 order by position limit ${batchSize}`

const settle = `update cursor set position = $1 where name = 'relay' and holder = $2 and epoch = $3`

const asText = { getTypeParser: () => (text: string) => text }

async function drain(client: pg.Client): Promise<void> {
  let position: string | undefined = '0'
  for (;;) {
    const { rows }: pg.QueryResult<string[]> = await client.query<string[]>({
      name: 'fetch',
      text: fetch,
      values: [position],
      rowMode: 'array',
      types: asText,
    })
    position = rows.at(-1)?.[0]
    if (position === undefined) return
    // the publisher that does nothing
    await client.query({ name: 'settle', text: settle, values: [position, 'me', 1] })
  }
}
