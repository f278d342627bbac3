import { existsSync } from 'node:fs'
import type { Receipt } from '@outbox/core'
import { describeWith, waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { readStream } from '../src/brokers.ts'
import { clean, findings } from '../src/check.ts'
import { storeNames, stores } from '../src/stores.ts'
import { createSystem, isDrained, ofKind } from '../src/system.ts'

const faketimeLibrary = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/local/lib']
  .map((directory) => `${directory}/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path))

/** Shifts the wall clock of one process, and leaves its monotonic clock alone. */
function clockShifted(offset: string): Readonly<Record<string, string>> {
  if (!faketimeLibrary) throw new Error('libfaketime is missing: apt-get install faketime')
  return { LD_PRELOAD: faketimeLibrary, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' }
}

// Where it is missing, CI fails, and elsewhere the test is left out.
const testWithShiftedClocks = faketimeLibrary || process.env['CI'] === 'true' ? test : test.skip

for (const store of storeNames) {
  describeWith([...stores[store].needs, 'redis'], `${stores[store].title}: producers`, () => {
    testWithShiftedClocks(
      'whose clocks are twenty minutes apart write the same aggregates in turn: order holds',
      {
        timeout: 300_000,
      },
      async () => {
        await using system = await createSystem({ kind: 'redis' }, store)
        const aggregates = Array.from({ length: 10 }, (_, index) => `order-${index}`)
        const producers = ['-10m', '+10m'].map((offset) =>
          system.startProducer({ aggregates, transactions: 20, isStepped: true }, clockShifted(offset)),
        )
        const times: number[] = []
        for (let turn = 0; turn < 40; turn++) {
          const producer = producers[turn % 2]
          producer?.send('go')
          const message = (await producer?.next(ofKind('committed'))) as { receipts: readonly Receipt[]; at: string }
          expect(message.receipts.map(({ sequence }) => sequence)).toEqual(Array(aggregates.length).fill(turn + 1))
          times.push(Date.parse(message.at))
        }
        expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(19 * 60_000)

        system.startRelay()
        await waitFor(() => isDrained(system.shop), { what: 'everything to be delivered' })
        expect(findings(await system.shop.committed(), await readStream(system.broker))).toEqual(clean)
      },
    )

    test('killed between enqueue and commit leave nothing', { timeout: 300_000 }, async () => {
      await using system = await createSystem({ kind: 'redis' }, store)
      const relay = system.startRelay()
      await relay.next(ofKind('partitions'))
      const producer = system.startProducer({ aggregates: ['order-1'], transactions: 1, hangsInTransaction: true })
      await producer.next(ofKind('enqueued'))
      await producer.kill()
      expect((await system.shop.outbox.stats()).pending).toBe(0)

      const survivor = system.startProducer({ aggregates: ['order-1'], transactions: 1 })
      const { receipts } = (await survivor.next(ofKind('committed'))) as { receipts: readonly Receipt[] }
      await waitFor(() => isDrained(system.shop), { what: 'the survivor to be delivered' })
      expect((await readStream(system.broker)).map(({ id }) => id)).toEqual(receipts.map(({ id }) => id))
      expect(receipts.map(({ sequence }) => sequence)).toEqual([1])
    })
  })
}
