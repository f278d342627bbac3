import { describeWith, waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { forgetSeenIds, readStream } from '../src/brokers.ts'
import { clean, findings } from '../src/check.ts'
import { eventWriter } from '../src/content.ts'
import { brokersForFaults, storeNames, stores } from '../src/stores.ts'
import { createSystem, isDrained, ofKind } from '../src/system.ts'

const change = eventWriter()
const changes = (count: number) => Array.from({ length: count }, (_, turn) => change(`order-${turn % 40}`))

for (const store of storeNames) {
  const { title, needs } = stores[store]

  describeWith(
    [...needs, 'redis'],
    `${title} → Redis: a relay that is stopped past its lease, and then goes on`,
    () => {
      test('between the check of its lease and its write: Redis refuses the late write', {
        timeout: 300_000,
      }, async () => {
        await using system = await createSystem({ kind: 'redis' }, store)
        const { shop, broker } = system
        await shop.commit(...changes(80))
        const zombie = system.startRelay({
          fault: { kind: 'stop-before-publish' },
          relay: { lanes: 1, leaseMs: 1_500, pollIntervalMs: 200, publishTimeoutMs: 1_000 },
        })
        await zombie.next(ofKind('partitions'))
        const heir = system.startRelay()
        await waitFor(() => isDrained(shop), { what: 'the other relay to deliver everything', timeoutMs: 120_000 })
        // one more per order, so that the heir has written to every partition under its own epoch
        await shop.commit(...changes(40))
        await waitFor(() => isDrained(shop), { what: 'the other relay to deliver the rest', timeoutMs: 120_000 })
        const before = await readStream(broker)
        expect(await forgetSeenIds(broker)).toBe(before.length)

        zombie.continue()
        await zombie.next(ofKind('leasesLost'))
        await zombie.signal('SIGTERM')
        await heir.signal('SIGTERM')

        expect(await readStream(broker)).toEqual(before)
        expect(findings(await shop.committed(), before)).toEqual(clean)
      })

      test('between its write and its settle: the settle changes nothing and is counted', {
        timeout: 300_000,
      }, async () => {
        await using system = await createSystem({ kind: 'redis' }, store)
        const { shop, broker } = system
        await shop.commit(...changes(80))
        const zombie = system.startRelay({ fault: { kind: 'stop-after-publish' } })
        await zombie.next(ofKind('partitions'))
        const heir = system.startRelay()
        await waitFor(() => isDrained(shop), { what: 'the other relay to settle everything', timeoutMs: 120_000 })
        const settledBefore = await shop.endings()

        zombie.continue()
        const refused = await zombie.next(ofKind('settleRefused'))
        expect(Reflect.get(Object(refused), 'entries')).toBeGreaterThan(0)
        await zombie.signal('SIGTERM')
        await heir.signal('SIGTERM')

        expect(await shop.endings()).toEqual(settledBefore)
        expect(findings(await shop.committed(), await readStream(broker))).toEqual(clean)
      })
    },
  )

  if (!brokersForFaults(store).includes('nats')) continue
  describeWith(
    [...needs, 'nats'],
    `${title} → JetStream: a relay that is stopped past its lease, and then goes on`,
    () => {
      test('loses nothing: what it delivers late is a repeat, which the stream drops', {
        timeout: 300_000,
      }, async () => {
        await using system = await createSystem({ kind: 'nats' }, store)
        const { shop, broker } = system
        await shop.commit(...changes(80))
        const zombie = system.startRelay({ fault: { kind: 'stop-before-publish' } })
        await zombie.next(ofKind('partitions'))
        const heir = system.startRelay()
        await waitFor(() => isDrained(shop), { what: 'the other relay to deliver everything', timeoutMs: 120_000 })

        zombie.continue()
        await zombie.next(ofKind('leasesLost'))
        await zombie.signal('SIGTERM')
        await heir.signal('SIGTERM')

        expect(findings(await shop.committed(), await readStream(broker))).toEqual(clean)
      })
    },
  )
}
