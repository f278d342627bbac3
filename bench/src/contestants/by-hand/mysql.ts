import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import type { Contestant } from '../../contestant.ts'
import { aggregateOf, batches, payloadOf } from '../../rows.ts'

const lanes = 4
const batchSize = 500
const partitions = 64

/** The same loop as on PostgreSQL, for MySQL and MariaDB: neither has partial indexes or LATERAL in common. */
export const contestant: Contestant = {
  title: 'hand-written loop',
  role: 'ceiling',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true, but: 'no retries, no dead letters' },
  tuning: `${lanes} lanes over ${partitions} hash partitions, batches of ${batchSize}, read committed`,
  async prepare(setting) {
    const connection = await createConnection({ uri: setting.url, multipleStatements: true })
    await connection.query(`
      create table outbox (
        id bigint auto_increment primary key, part tinyint not null, aggregate_id varchar(64) not null,
        event_type varchar(64) not null, sequence bigint not null, payload longtext not null,
        occurred_at datetime(3) not null default current_timestamp(3), published tinyint not null default 0,
        key outbox_pending (part, published, id)
      );
      create table leases (part tinyint primary key, holder varchar(36) not null, epoch bigint not null)`)
    const leases = Array.from({ length: partitions }, (_, part) => [part, 'me', 1])
    await connection.query('insert into leases (part, holder, epoch) values ?', [leases])
    for (const batch of batches(setting.rows, 1000)) {
      const rows = batch.map((n) => [
        (n % setting.aggregates) % partitions,
        aggregateOf(n, setting),
        'order.placed',
        Math.floor(n / setting.aggregates) + 1,
        JSON.stringify(payloadOf(n, setting)),
      ])
      await connection.query('insert into outbox (part, aggregate_id, event_type, sequence, payload) values ?', [rows])
    }
    await connection.end()
  },
  async open({ url }) {
    const connections = await Promise.all(
      Array.from({ length: lanes }, async () => {
        const connection = await createConnection({ uri: url, rowsAsArray: true, supportBigNumbers: true })
        await connection.query('set session transaction isolation level read committed')
        return connection
      }),
    )
    return {
      async run() {
        await Promise.all(connections.map(drain))
        return undefined
      },
      async left() {
        const [rows] = (await connections[0]?.query<RowDataPacket[]>(
          'select count(*) from outbox where published = 0',
        )) ?? [[]]
        return Number(rows[0]?.[0])
      },
      async [Symbol.asyncDispose]() {
        await Promise.all(connections.map((connection) => connection.end()))
      },
    }
  },
}

async function drain(connection: Connection, lane: number): Promise<void> {
  const mine = Array.from({ length: partitions / lanes }, (_, index) => index * lanes + lane)
  const fetch = mine
    .map(
      (part) =>
        `(select id, part, aggregate_id, event_type, sequence, payload, occurred_at from outbox
          where part = ${part} and published = 0 order by id limit ${Math.ceil((2 * batchSize) / mine.length)})`,
    )
    .join(' union all ')
  for (;;) {
    const [found] = await connection.query<RowDataPacket[][]>(`${fetch} limit ${batchSize}`)
    if (found.length === 0) return
    // the publisher that does nothing
    await settle(
      connection,
      mine,
      found.map((row) => row[0]),
    )
  }
}

/**
 * Holds the leases' rows, so that whoever takes them over waits, and marks by the primary key: a join with the leases in
 * one statement costs MySQL two to seven times the CPU, whichever way it is written, and MariaDB no less.
 *
 * Lanes meet in the index of what is pending: InnoDB gives one of two up now and then, which says it again.
 */
async function settle(connection: Connection, mine: readonly number[], ids: readonly unknown[]): Promise<void> {
  for (;;) {
    try {
      await connection.query('start transaction')
      const [held] = await connection.query<RowDataPacket[]>(
        `select part from leases where part in (?) and holder = 'me' and epoch = 1 lock in share mode`,
        [mine],
      )
      if (held.length < mine.length) throw new Error('a lease is lost')
      await connection.query('update outbox set published = 1 where id in (?)', [ids])
      await connection.query('commit')
      return
    } catch (error) {
      // InnoDB has rolled the transaction back
      if (!(error instanceof Error && 'code' in error && error.code === 'ER_LOCK_DEADLOCK')) throw error
    }
  }
}
