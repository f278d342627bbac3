import { Logger, makeWorkerUtils, type Runner, run } from 'graphile-worker'
import pg from 'pg'
import type { Contestant } from '../../contestant.ts'
import { aggregateOf, batches, payloadOf } from '../../rows.ts'

const silent = new Logger(() => () => undefined)

/** Jobs without a queue name: in no order, which is its fastest way. */
export const contestant: Contestant = {
  title: 'graphile-worker 0.18',
  role: 'peer',
  guarantee: { order: 'none', isFenced: false, isDurable: true },
  tuning: 'concurrentJobs 24, localQueue.size 500, completeJobBatchDelay 0, failJobBatchDelay 0, maxPoolSize 26',
  async prepare(setting) {
    const utils = await makeWorkerUtils({ connectionString: setting.url, logger: silent })
    await utils.migrate()
    for (const batch of batches(setting.rows, 5000)) {
      await utils.addJobs(
        batch.map((n) => ({
          identifier: 'publish',
          payload: { aggregateId: aggregateOf(n, setting), ...payloadOf(n, setting) },
        })),
      )
    }
    await utils.release()
  },
  async open({ url, rows }) {
    const pool = new pg.Pool({ connectionString: url, max: 26 })
    pool.on('error', (error) => {
      throw error
    })
    await pool.query('select 1')
    let runner: Runner | undefined
    return {
      async run() {
        let handled = 0
        const all = Promise.withResolvers<void>()
        runner = await run({
          pgPool: pool,
          logger: silent,
          noHandleSignals: true,
          taskList: {
            publish: () => {
              handled += 1
              if (handled === rows) all.resolve()
            },
          },
          preset: {
            worker: {
              concurrentJobs: 24,
              maxPoolSize: 26,
              localQueue: { size: 500 },
              completeJobBatchDelay: 0,
              failJobBatchDelay: 0,
            },
          },
        })
        await all.promise
        // its last completions are written by then
        await runner.stop()
        return undefined
      },
      left: async () => Number((await pool.query('select count(*) from graphile_worker.jobs')).rows[0]?.count),
      [Symbol.asyncDispose]: () => pool.end(),
    }
  },
}
