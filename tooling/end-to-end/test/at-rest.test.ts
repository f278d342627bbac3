import { setTimeout as pause } from 'node:timers/promises'
import { event } from '@outbox/core'
import { describeWith, waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { readStream } from '../src/brokers.ts'
import { openShop, type Shop } from '../src/shop.ts'
import { createSystem, ofKind } from '../src/system.ts'

/** long enough for the first looks, which come faster, to weigh little */
const observedSeconds = 15

/** Of one database, seen from another: looking does not count. */
async function transactions(onlooker: Shop, database: string): Promise<number> {
  const [row] = await onlooker.query(
    `select xact_commit + xact_rollback as n from pg_stat_database where datname = '${database}'`,
  )
  return Number(row?.['n'])
}

describeWith(['postgres', 'redis'], 'a relay at rest', () => {
  test('sends about one statement a second', { timeout: 300_000 }, async () => {
    await using system = await createSystem({ kind: 'redis' })
    const elsewhere = new URL(system.store.url)
    const database = elsewhere.pathname.slice(1)
    elsewhere.pathname = '/postgres'
    await using onlooker = openShop(elsewhere.href)
    const relay = system.startRelay({ relay: {} })
    await relay.next(ofKind('partitions'))
    // The server counts what a connection did about once a second, so both looks are late by the same.
    await waitFor(async () => (await transactions(onlooker, database)) > 0, { what: 'the server to have counted' })
    const before = await transactions(onlooker, database)
    await pause(observedSeconds * 1_000) // the time that is observed
    const perSecond = ((await transactions(onlooker, database)) - before) / observedSeconds
    expect(perSecond).toBeLessThan(2)
    expect(perSecond).toBeGreaterThan(0.3)
  })

  test('is woken by a commit long before its next poll', { timeout: 300_000 }, async () => {
    await using system = await createSystem({ kind: 'redis' })
    const relay = system.startRelay({ relay: { pollIntervalMs: 60_000, leaseMs: 600_000 } })
    await relay.next(ofKind('partitions'))
    const latencies: number[] = []
    for (let turn = 1; turn <= 10; turn++) {
      await system.shop.commit(event('order.changed', { aggregateId: 'order-1', payload: { turn } }))
      const committedAt = performance.now()
      await waitFor(async () => (await readStream(system.broker)).length === turn, {
        what: `commit ${turn} to be published`,
        intervalMs: 1,
      })
      latencies.push(performance.now() - committedAt)
    }
    // A poll would have taken half a minute. The median is printed rather than judged: time depends on the machine.
    latencies.sort((a, b) => a - b)
    process.stdout.write(
      `commit → in Redis: median ${latencies[5]?.toFixed(1)} ms, worst ${latencies[9]?.toFixed(1)} ms\n`,
    )
    expect(latencies[9]).toBeLessThan(10_000)
  })
})
