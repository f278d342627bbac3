import { setTimeout as delay } from 'node:timers/promises'
import { event } from '@outbox/core'
import { createRelay } from '@outbox/relay'
import pg from 'pg'
import type { Contestant, Figures, Setting } from '../../contestant.ts'
import { aggregateOf, batches, nullPublisher, payloadOf } from '../../rows.ts'
import { postgresStore } from '../../stores/postgres.ts'
import type { OpenStore } from '../../stores/store.ts'

const purgeEveryMs = 200

/** Events come, are published, and are purged when `kept` younger ones are there, all at the same time. */
export const contestant: Contestant = {
  title: '@outbox, all at once',
  role: 'ours',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
  tuning: 'defaults; producers wait while the relay is behind; a purge five times a second',
  prepare: ({ url }) => postgresStore().create(url),
  async open(setting) {
    const { url, rows, kept = 0 } = setting
    const store = await postgresStore().open(url)
    const watcher = new pg.Client(url)
    await watcher.connect()
    let published = 0
    let purged = 0
    const failed = Promise.withResolvers<never>()
    const relay = createRelay({
      store: store.outbox,
      publisher: nullPublisher(),
      on: {
        published: ({ entries }) => {
          published += entries.length
        },
        error: ({ error }) => failed.reject(error),
      },
    })
    await relay.start()

    const purgeAndWatch = async (): Promise<Figures> => {
      let quarter: TableSize | undefined
      while (published < rows || published - purged > kept) {
        await delay(purgeEveryMs)
        const limit = published - purged - kept
        if (limit > 0) purged += await store.outbox.purge({ olderThanMs: 0, limit })
        if (published >= rows / 4) quarter ??= await sizeOf(watcher)
      }
      const end = await sizeOf(watcher)
      return {
        'MB at ¼': (quarter ?? end).bytes / 1e6,
        'MB at the end': end.bytes / 1e6,
        'dead at the end': end.dead,
        autovacuums: end.vacuums,
      }
    }
    return {
      async run() {
        const produced = produce(store, setting, () => published)
        const [figures] = await Promise.race([Promise.all([purgeAndWatch(), produced]), failed.promise])
        return figures
      },
      async left() {
        const there = Number((await watcher.query('select count(*) from outbox_entries')).rows[0]?.count)
        return (await store.left()) + (rows - published) + Math.abs(there - (rows - purged))
      },
      async [Symbol.asyncDispose]() {
        await relay.stop()
        await watcher.end()
        await store.close()
      },
    }
  },
}

/** Clients that commit transactions, one after the other, and are never further ahead of the relay than `backlog`. */
async function produce(store: OpenStore, setting: Setting, published: () => number): Promise<void> {
  const { rows, backlog = rows, perTransaction = 1, clients = 1 } = setting
  const all = batches(rows, perTransaction)
  let committed = 0
  const one = async (): Promise<void> => {
    for (const batch of all) {
      while (committed - published() >= backlog) await delay(2)
      await store.commit(
        batch.map((n) =>
          event('order.placed', { aggregateId: aggregateOf(n, setting), payload: payloadOf(n, setting) }),
        ),
      )
      committed += batch.length
    }
  }
  await Promise.all(Array.from({ length: clients }, one))
}

interface TableSize {
  /** with indexes */
  readonly bytes: number
  /** row versions that wait for a vacuum, as the server estimates them */
  readonly dead: number
  readonly vacuums: number
}

/** All tables of the outbox. */
async function sizeOf(client: pg.Client): Promise<TableSize> {
  const { rows } = await client.query(`
    select sum(pg_total_relation_size(relid)) as bytes, sum(n_dead_tup) as dead, sum(autovacuum_count) as vacuums
    from pg_stat_user_tables`)
  return { bytes: Number(rows[0]?.bytes), dead: Number(rows[0]?.dead), vacuums: Number(rows[0]?.vacuums) }
}
