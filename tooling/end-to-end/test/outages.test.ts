import { event } from '@outbox/core'
import { describeWith, startNats, startRedis, waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { readStream } from '../src/brokers.ts'
import { clean, findings } from '../src/check.ts'
import { createSystem, isDrained, ofKind, type System } from '../src/system.ts'

const change = (turn: number) => event('order.changed', { aggregateId: `order-${turn % 25}`, payload: { turn } })

/** Commits for as long as `during` takes. */
async function underLoad<T>({ shop }: System, during: () => Promise<T>): Promise<T> {
  let isOver = false
  const load = async (): Promise<void> => {
    for (let turn = 0; !isOver; turn += 5) await shop.commit(...[0, 1, 2, 3, 4].map((step) => change(turn + step)))
  }
  const producing = load()
  try {
    return await during()
  } finally {
    isOver = true
    await producing
  }
}

async function attemptsBurnt({ shop }: System): Promise<unknown> {
  return (await shop.query('select count(*)::int as n from outbox_entries where refused > 0'))[0]?.['n']
}

for (const kind of ['redis', 'nats'] as const) {
  describeWith(['postgres', { own: kind }], `with ${kind} away for a while`, () => {
    test('no attempt is burnt, and everything is delivered after', { timeout: 90_000 }, async () => {
      await using server = await (kind === 'redis'
        ? startRedis({ config: { appendonly: 'yes', appendfsync: 'always' } })
        : startNats())
      await using system = await createSystem({ kind, url: server.url })
      const relay = system.startRelay()
      await relay.next(ofKind('partitions'))
      await underLoad(system, async () => {
        await waitFor(async () => (await readStream(system.broker)).length > 100, {
          what: 'deliveries before the outage',
        })
        await server.kill()
        await relay.next(ofKind('destinationDown'))
        await waitFor(async () => (await system.shop.outbox.stats()).pending > 200, { what: 'a backlog to grow' })
        await server.restart()
        await relay.next(ofKind('destinationUp'))
      })
      await waitFor(() => isDrained(system.shop), { what: 'the backlog to be delivered', timeoutMs: 30_000 })

      expect(await attemptsBurnt(system)).toBe(0)
      expect(relay.messages.filter(ofKind('dead'))).toEqual([])
      const { lost, leaked, outOfOrder } = findings(await system.shop.committed(), await readStream(system.broker))
      expect({ lost, leaked, outOfOrder }).toEqual({ lost: [], leaked: [], outOfOrder: [] })
    })
  })

  describeWith(['postgres', kind], `SIGTERM under load, on ${kind}`, () => {
    test('makes no duplicate, and the next relay goes on at once', { timeout: 90_000 }, async () => {
      await using system = await createSystem({ kind })
      await underLoad(system, async () => {
        for (let round = 0; round < 5; round++) {
          const relay = system.startRelay({ relay: { leaseMs: 60_000, pollIntervalMs: 200 } })
          const before = (await readStream(system.broker)).length
          await waitFor(async () => (await readStream(system.broker)).length > before + 100, {
            what: `round ${round}: the relay to take over without waiting for a lease to expire`,
            timeoutMs: 20_000,
          })
          expect(await relay.signal('SIGTERM')).toEqual({ code: 0, signal: undefined })
          expect(relay.messages.find(ofKind('stopped'))).toMatchObject({ stats: { duplicates: 0, settlesRefused: 0 } })
        }
      })
      const last = system.startRelay()
      await waitFor(() => isDrained(system.shop), { what: 'the rest to be delivered', timeoutMs: 20_000 })
      await last.signal('SIGTERM')
      expect(last.messages.find(ofKind('stopped'))).toMatchObject({ stats: { duplicates: 0 } })
      expect(findings(await system.shop.committed(), await readStream(system.broker))).toEqual(clean)
    })
  })
}
