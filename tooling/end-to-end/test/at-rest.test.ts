import { setTimeout as pause } from 'node:timers/promises'
import { event } from '@outbox/core'
import { createRelay } from '@outbox/relay'
import { describeWith, type OwnServer, startPostgres, waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { readStream } from '../src/brokers.ts'
import { openPublisher } from '../src/publishers.ts'
import { createShop } from '../src/shop.ts'
import { brokerAddress, createSystem, ofKind } from '../src/system.ts'

/** long enough for the first looks, which come faster, to weigh little */
const observedSeconds = 15

/** How many statements a server was sent, by its own log; its statistics tell of idle connections long after. */
async function statementsSentTo(server: OwnServer): Promise<number> {
  return [...(await server.log()).matchAll(/ LOG: {2}(?:execute|statement)/g)].length
}

describeWith([{ own: 'postgres' }, 'redis'], 'a relay at rest', () => {
  test('sends about one statement a second', { timeout: 300_000 }, async () => {
    await using server = await startPostgres({ settings: { log_statement: 'all' } })
    await using shop = await createShop(server.url)
    await using broker = await openPublisher(await brokerAddress('redis'))
    await using relay = createRelay({ store: shop.outbox, publisher: broker.publisher })
    await relay.start()
    await waitFor(() => relay.stats().partitions === 64, { what: 'the relay to hold all partitions' })
    const before = await statementsSentTo(server)
    const beganAt = performance.now()
    await pause(observedSeconds * 1_000) // the time that is observed
    const sent = (await statementsSentTo(server)) - before
    const perSecond = (sent / (performance.now() - beganAt)) * 1_000
    expect(perSecond).toBeLessThan(2)
    expect(perSecond).toBeGreaterThan(0.3)
  })
})

describeWith(['postgres', 'redis'], 'a relay that listens', () => {
  test('is woken by a commit long before its next poll', { timeout: 300_000 }, async () => {
    await using system = await createSystem({ kind: 'redis' })
    // longer than anybody waits below: what arrives was woken for
    const relay = system.startRelay({ relay: { pollIntervalMs: 600_000, leaseMs: 3_000_000 } })
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
    // The median is printed rather than judged: time depends on the machine.
    latencies.sort((a, b) => a - b)
    process.stdout.write(
      `commit → in Redis: median ${latencies[5]?.toFixed(1)} ms, worst ${latencies[9]?.toFixed(1)} ms\n`,
    )
  })
})
