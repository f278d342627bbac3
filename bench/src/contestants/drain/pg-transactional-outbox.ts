import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { DatabaseSetup, getDisabledLogger, initializePollingMessageListener } from 'pg-transactional-outbox'
import type { Contestant } from '../../contestant.ts'
import { aggregateSql, payloadSql } from '../../rows.ts'

const inProcess = 50
const connections = 40
/** it gives up a message whose row it finds locked by itself a few times; that ends the run, too */
const isLeft = 'processed_at is null and abandoned_at is null'
const table = { outboxOrInbox: 'outbox', database: 'postgres', schema: 'public', table: 'outbox' } as const
const polling = { ...table, listenerRole: 'postgres', nextMessagesName: 'next_outbox_messages' }

/** Its polling listener; an aggregate is a segment, whose messages are in order. */
export const contestant: Contestant = {
  title: 'pg-transactional-outbox 0.5',
  role: 'peer',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
  tuning:
    `polling, ${inProcess} messages at work at once from the first call on, ${connections} connections, poll interval 10 ms, ` +
    'protections off as its README has it for an outbox; a fiftieth of the rows, as each poll sorts all that is pending',
  share: 0.02,
  async prepare(setting) {
    const client = new pg.Client(setting.url)
    await client.connect()
    await client.query(DatabaseSetup.dropAndCreateTable(polling))
    await client.query(DatabaseSetup.createPollingFunction(polling))
    await client.query(DatabaseSetup.setupPollingIndexes(polling))
    await client.query(`
      insert into outbox (id, aggregate_type, aggregate_id, message_type, segment, payload, metadata)
      select gen_random_uuid(), 'order', ${aggregateSql(setting)}, 'order.placed', ${aggregateSql(setting)},
        ${payloadSql(setting)}, '{}'
      from generate_series(0, ${setting.rows - 1}) n`)
    await client.end()
  },
  async open({ url }) {
    const client = new pg.Client(url)
    await client.connect()
    const left = async (): Promise<number> =>
      Number((await client.query(`select count(*) from outbox where ${isLeft}`)).rows[0]?.count)
    return {
      async run() {
        const pool: pg.PoolConfig = { connectionString: url, max: connections }
        const [shutdown] = initializePollingMessageListener(
          {
            outboxOrInbox: 'outbox',
            // it hands this on to a pool, one for the polls and one for the messages
            dbListenerConfig: pool,
            settings: {
              dbSchema: 'public',
              dbTable: 'outbox',
              enableMaxAttemptsProtection: false,
              enablePoisonousMessageProtection: false,
              nextMessagesFunctionName: 'next_outbox_messages',
              nextMessagesBatchSize: inProcess,
              nextMessagesPollingIntervalInMs: 10,
            },
          },
          {
            handle: async () => undefined,
          },
          getDisabledLogger(),
          { batchSizeStrategy: async () => inProcess },
        )
        while ((await left()) > 0) await setTimeout(10)
        await shutdown()
        const abandoned = await client.query('select count(*) from outbox where abandoned_at is not null')
        return { abandoned: Number(abandoned.rows[0]?.count) }
      },
      left,
      [Symbol.asyncDispose]: () => client.end(),
    }
  },
}
