import pg from 'pg'
import { PgBoss } from 'pg-boss'
import type { Contestant } from '../../contestant.ts'
import { aggregateOf, batches, payloadOf } from '../../rows.ts'

const queue = 'publish'

export const contestant: Contestant = {
  title: 'pg-boss 12',
  role: 'peer',
  guarantee: { order: 'none', isFenced: false, isDurable: true },
  tuning: 'batchSize 500, localConcurrency 4, burstWhenBatchFull, a partition of its own for the queue',
  async prepare(setting) {
    const boss = new PgBoss({ connectionString: setting.url, supervise: false, schedule: false })
    await boss.start()
    await boss.createQueue(queue, { partition: true })
    for (const batch of batches(setting.rows, 5000)) {
      await boss.insert(
        queue,
        batch.map((n) => ({ data: { aggregateId: aggregateOf(n, setting), ...payloadOf(n, setting) } })),
      )
    }
    await boss.stop()
  },
  async open({ url, rows }) {
    const boss = new PgBoss({ connectionString: url, max: 10, supervise: false, schedule: false })
    await boss.start()
    return {
      async run() {
        let handled = 0
        const all = Promise.withResolvers<void>()
        boss.on('error', all.reject)
        await boss.work(
          queue,
          { batchSize: 500, localConcurrency: 4, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
          async (jobs) => {
            handled += jobs.length
            if (handled === rows) all.resolve()
          },
        )
        await all.promise
        // waits for the last completions
        await boss.stop({ graceful: true })
        return undefined
      },
      async left() {
        const client = new pg.Client(url)
        await client.connect()
        const { rows: found } = await client.query(
          `select count(*) from pgboss.job where name = '${queue}' and state <> 'completed'`,
        )
        await client.end()
        return Number(found[0]?.count)
      },
      [Symbol.asyncDispose]: async () => undefined,
    }
  },
}
