import type { Contestant } from '../../contestant.ts'
import { aggregateSql, payloadSql } from '../../rows.ts'
import { openSqlite } from '../../stores/sqlite.ts'

const batchSize = 500

/** SQLite has one writer, and its driver is synchronous: one loop is all there is to have. */
export const contestant: Contestant = {
  title: 'hand-written loop',
  role: 'ceiling',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true, but: 'no retries, no dead letters' },
  tuning: `one loop, batches of ${batchSize}, prepared statements, WAL, synchronous FULL`,
  async prepare(setting) {
    const db = openSqlite(setting.url)
    db.exec(`
      create table outbox (
        id integer primary key, part integer not null, aggregate_id text not null, event_type text not null,
        sequence integer not null, payload text not null, occurred_at text not null default current_timestamp,
        published_at text
      );
      create index outbox_pending on outbox (id) where published_at is null;
      create table leases (part integer primary key, holder text not null, epoch integer not null);
      with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n < ${Math.max(63, setting.rows - 1)})
      insert into leases select n, 'me', 1 from numbers where n < 64;
      with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n < ${setting.rows - 1})
      insert into outbox (part, aggregate_id, event_type, sequence, payload)
      select (n % ${setting.aggregates}) % 64, ${aggregateSql(setting)}, 'order.placed', n / ${setting.aggregates} + 1,
        ${payloadSql(setting)
          .replace('json_build_object', 'json_object')
          .replace(/repeat\('x', (\d+)\)/, "printf('%.*c', $1, 'x')")}
      from numbers`)
    db.close()
  },
  async open({ url }) {
    const db = openSqlite(url)
    const fetch = db
      .prepare(
        `select id, part, aggregate_id, event_type, sequence, payload, occurred_at from outbox
         where published_at is null order by id limit ${batchSize}`,
      )
      .raw()
    const settle = db.prepare(
      `update outbox set published_at = current_timestamp
       where id in (select value from json_each(?)) and part in (select part from leases where holder = ? and epoch = ?)`,
    )
    return {
      async run() {
        for (;;) {
          const rows = fetch.all() as readonly (readonly unknown[])[]
          if (rows.length === 0) return undefined
          // the publisher that does nothing
          settle.run(JSON.stringify(rows.map(([id]) => id)), 'me', 1)
        }
      },
      left: async () => Number(db.prepare('select count(*) from outbox where published_at is null').pluck().get()),
      [Symbol.asyncDispose]: async () => void db.close(),
    }
  },
}
