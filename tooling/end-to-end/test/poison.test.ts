import { describeWith, waitFor } from '@outbox/services'
import { describe, expect, test } from 'vitest'
import { readStream } from '../src/brokers.ts'
import { clean, findings } from '../src/check.ts'
import { eventWriter } from '../src/content.ts'
import { storeNames, stores } from '../src/stores.ts'
import { brisk, createSystem, isDrained, ofKind, patient } from '../src/system.ts'

const change = eventWriter()
const poison = eventWriter()('bad', 'order.poisoned')
const retry = { maxAttempts: 3, minDelayMs: 5, maxDelayMs: 20 }
const refuse = { kind: 'refuse', eventType: poison.type } as const

for (const store of storeNames) {
  describeWith([...stores[store].needs, 'redis'], `${stores[store].title}: one poison entry`, () => {
    describe("under onDead: 'skip'", () => {
      test('goes to the dead letters, its aggregate goes on, and requeue delivers it', {
        timeout: 300_000,
      }, async () => {
        await using system = await createSystem({ kind: 'redis' }, store)
        const { shop, broker } = system
        const [first, bad] = await shop.commit(change('bad'), poison, change('bad'), change('good'))
        const relay = system.startRelay({ fault: refuse, relay: { ...patient, retry } })
        expect(await relay.next(ofKind('dead'))).toMatchObject({ id: bad?.id, reason: 'refused on purpose' })
        await waitFor(() => isDrained(shop), { what: 'the rest of the aggregate to go on' })
        expect((await readStream(broker)).map(({ eventType }) => eventType)).toEqual(Array(3).fill('order.changed'))
        expect(first?.sequence).toBe(1)
        await relay.signal('SIGTERM')

        system.startRelay()
        expect(await shop.outbox.deadLetters.requeue([String(bad?.id)])).toBe(1)
        await waitFor(() => isDrained(shop), { what: 'the requeued entry to be delivered' })
        expect((await readStream(broker)).at(-1)?.id).toBe(bad?.id)
      })
    })

    describe("under onDead: 'block'", () => {
      test('its aggregate alone waits, in order, until it is requeued', { timeout: 300_000 }, async () => {
        await using system = await createSystem({ kind: 'redis' }, store)
        const { shop, broker } = system
        const [, bad] = await shop.commit(change('bad'), poison, change('bad'), change('bad'))
        const relay = system.startRelay({ fault: refuse, relay: { ...patient, retry, onDead: 'block' } })
        await relay.next(ofKind('dead'))
        await shop.commit(change('good'), change('good'))
        await waitFor(async () => (await readStream(broker)).length === 3, { what: 'the other aggregate to go on' })
        await waitFor(async () => (await shop.outbox.stats()).pending === 2, {
          what: 'the other aggregate to be settled',
        })
        await relay.signal('SIGTERM')

        system.startRelay()
        await shop.outbox.deadLetters.requeue([String(bad?.id)])
        await waitFor(() => isDrained(shop), { what: 'the aggregate to go on' })
        expect(findings(await shop.committed(), await readStream(broker))).toEqual(clean)
      })
    })

    test('whose publishing kills the process ends as a dead letter; its 499 neighbours do not', {
      timeout: 600_000,
    }, async () => {
      await using system = await createSystem({ kind: 'redis' }, store)
      const { shop, broker } = system
      const neighbours = Array.from({ length: 499 }, (_, index) => change(`order-${index}`))
      const receipts = await shop.commit(...neighbours.slice(0, 250), poison, ...neighbours.slice(250))
      const fault = { kind: 'die', eventType: poison.type } as const
      let deaths = 0
      for (;;) {
        const relay = system.startRelay({ fault, relay: { ...brisk, lanes: 1, maxCrashes: 3 } })
        const ended = await Promise.race([relay.exit, relay.next(ofKind('dead'), 240_000)])
        if (ofKind('dead')(ended)) break
        expect(ended).toMatchObject({ signal: 'SIGKILL' })
        deaths += 1
      }
      await waitFor(() => isDrained(shop), { what: 'the neighbours to be delivered', timeoutMs: 240_000 })

      expect(deaths).toBe(3)
      const [letter, ...others] = await shop.outbox.deadLetters.list({ limit: 10 })
      expect(others).toEqual([])
      expect(letter).toMatchObject({ entry: { id: receipts[250]?.id }, reason: expect.stringContaining('crash') })
      const { lost, ...rest } = findings(await shop.committed(), await readStream(broker))
      expect(lost).toEqual([receipts[250]?.id])
      expect(rest).toMatchObject({ leaked: [], outOfOrder: [], altered: [] })
    })
  })
}
