import { setTimeout as delay } from 'node:timers/promises'
import { createRelay } from '@outbox/relay'
import pg from 'pg'
import type { Contestant } from '../../contestant.ts'
import { nullPublisher } from '../../rows.ts'
import { postgresStore } from '../../stores/postgres.ts'

const settleInMs = 3_000

/** A relay with nothing to do; its statements are counted where they leave the process. */
export const contestant: Contestant = {
  title: '@outbox, at rest',
  role: 'ours',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
  tuning: 'defaults: a poll a second, LISTEN',
  prepare: ({ url }) => postgresStore().create(url),
  async open({ url, seconds = 10 }) {
    let queries = 0
    const query = pg.Client.prototype.query
    pg.Client.prototype.query = function counted(this: pg.Client, ...given: never[]) {
      queries += 1
      return Reflect.apply(query, this, given)
    }
    const { outbox, left, close } = await postgresStore().open(url)
    const relay = createRelay({ store: outbox, publisher: nullPublisher() })
    await relay.start()
    await delay(settleInMs * Math.min(1, seconds)) // it has taken its leases, and slowed down
    return {
      async run() {
        const before = queries
        const cpu = process.cpuUsage()
        await delay(seconds * 1000)
        const { user, system } = process.cpuUsage(cpu)
        return { 'queries/s': (queries - before) / seconds, 'node CPU ms/s': (user + system) / 1000 / seconds }
      },
      left,
      async [Symbol.asyncDispose]() {
        await relay.stop()
        await close()
        pg.Client.prototype.query = query
      },
    }
  },
}
