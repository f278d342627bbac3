import { setTimeout as delay } from 'node:timers/promises'
import { event, type Publisher } from '@outbox/core'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import type { Contestant } from '../../contestant.ts'
import { aggregateOf, payloadOf } from '../../rows.ts'
import { postgresStore } from '../../stores/postgres.ts'
import { openRedis } from '../publish/redis-stream.ts'

/** Commits one event at a time at a steady rate; each is timed from its commit until Redis has acknowledged it. */
export function latency(title: string, mode: 'wake-up' | 'polling'): Contestant {
  const store = postgresStore(mode === 'wake-up' ? {} : { listen: false, notify: 'off' })
  return {
    title,
    role: 'ours',
    guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
    tuning: mode === 'wake-up' ? 'defaults: debounced NOTIFY, LISTEN' : 'no notifications, pollIntervalMs 1,000',
    prepare: ({ url }) => store.create(url),
    async open(setting) {
      const { url, rows, perSecond = 10 } = setting
      // two of each, as the application and its relay have them: they meet in the database only
      const application = await store.open(url)
      const relaySide = await store.open(url)
      const { client, stream, left } = await openRedis(setting)
      const acknowledgedAt = new Map<string, number>()
      const all = Promise.withResolvers<void>()
      const relay = createRelay({
        store: relaySide.outbox,
        publisher: watched(redisPublisher({ client, stream }), (id) => {
          acknowledgedAt.set(id, performance.now())
          if (acknowledgedAt.size === rows) all.resolve()
        }),
        on: { error: ({ error }) => all.reject(error) },
      })
      await relay.start()
      return {
        async run() {
          const committedAt = new Map<string, number>()
          const begin = performance.now()
          const commits: Promise<void>[] = []
          for (let n = 0; n < rows; n++) {
            const dueMs = begin + (n * 1000) / perSecond - performance.now()
            if (dueMs > 1) await delay(dueMs)
            const id = crypto.randomUUID()
            commits.push(
              application
                .commit([
                  event('order.placed', { id, aggregateId: aggregateOf(n, setting), payload: payloadOf(n, setting) }),
                ])
                .then(() => void committedAt.set(id, performance.now())),
            )
          }
          await Promise.all([...commits, all.promise])
          const waits = [...committedAt].map(([id, at]) => Math.max(0, (acknowledgedAt.get(id) ?? Number.NaN) - at))
          const sorted = waits.toSorted((a, b) => a - b)
          const at = (share: number) =>
            sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
          return { 'p50 ms': at(0.5), 'p99 ms': at(0.99), 'p99.9 ms': at(0.999) }
        },
        left,
        async [Symbol.asyncDispose]() {
          await relay.stop()
          client.disconnect()
          await application.close()
          await relaySide.close()
        },
      }
    },
  }
}

function watched(publisher: Publisher, seen: (id: string) => void): Publisher {
  return {
    ...publisher,
    async publish(entries, options) {
      const outcomes = await publisher.publish(entries, options)
      for (const [index, { id }] of entries.entries()) if (outcomes[index]?.status === 'published') seen(id)
      return outcomes
    },
  }
}
