import { setTimeout } from 'node:timers/promises'
import { describeWith, startNats, startRedis, waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { readStream } from '../src/brokers.ts'
import { clean, findings } from '../src/check.ts'
import { eventWriter } from '../src/content.ts'
import { brokersForFaults, storeNames, stores } from '../src/stores.ts'
import { createSystem, isDrained, isUnanswered, ofKind, patient, type System } from '../src/system.ts'

const write = eventWriter()
const change = (turn: number) => write(`order-${turn % 25}`)

/** Commits for as long as `during` takes. */
async function underLoad<T>({ shop }: System, during: () => Promise<T>): Promise<T> {
  let isOver = false
  const load = async (): Promise<void> => {
    for (let turn = 0; !isOver; turn += 5) {
      await shop.commit(...[0, 1, 2, 3, 4].map((step) => change(turn + step)))
      await setTimeout(2) // a load and no siege: SQLite has one write lock, and gives it to whoever asks in time
    }
  }
  const producing = load()
  try {
    return await during()
  } finally {
    isOver = true
    await producing
  }
}

for (const store of storeNames) {
  for (const kind of brokersForFaults(store)) {
    const title = `${stores[store].title} → ${kind}`
    describeWith([...stores[store].needs, { own: kind }], `${title}: the broker is away for a while`, () => {
      test('no attempt is burnt, and everything is delivered after', { timeout: 300_000 }, async () => {
        await using server = await (kind === 'redis'
          ? startRedis({ config: { appendonly: 'yes', appendfsync: 'always' } })
          : startNats())
        await using system = await createSystem({ kind, url: server.url }, store)
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
        await waitFor(() => isDrained(system.shop), { what: 'the backlog to be delivered', timeoutMs: 120_000 })

        expect(relay.messages.filter(isRefusal)).toEqual([])
        expect(relay.messages.filter(ofKind('dead'))).toEqual([])
        const { repeats: _mayBe, ...found } = findings(await system.shop.committed(), await readStream(system.broker))
        expect({ ...found, repeats: [] }).toEqual(clean)
      })
    })

    describeWith([...stores[store].needs, kind], `${title}: SIGTERM under load`, () => {
      test('makes no duplicate, and the next relay goes on at once', { timeout: 300_000 }, async () => {
        await using system = await createSystem({ kind }, store)
        await underLoad(system, async () => {
          for (let round = 0; round < 3; round++) {
            const relay = system.startRelay({ relay: patient })
            const before = (await readStream(system.broker)).length
            await waitFor(async () => (await readStream(system.broker)).length > before + 100, {
              what: `round ${round}: the relay to take over without waiting for a lease to expire`,
              timeoutMs: 120_000,
            })
            expect(await relay.signal('SIGTERM')).toEqual({ code: 0, signal: undefined })
            const stopped = { stats: { duplicates: 0, settlesRefused: 0 } }
            expect(relay.messages.find(ofKind('stopped'))).toMatchObject(stopped)
          }
        })
        const last = system.startRelay({ relay: patient })
        await waitFor(() => isDrained(system.shop), { what: 'the rest to be delivered', timeoutMs: 120_000 })
        await last.signal('SIGTERM')
        expect(last.messages.find(ofKind('stopped'))).toMatchObject({ stats: { duplicates: 0 } })
        expect(findings(await system.shop.committed(), await readStream(system.broker))).toEqual(clean)
      })
    })
  }
}

/** an attempt that counts, and that the broker has answered */
function isRefusal(message: unknown): boolean {
  const text = JSON.stringify(message)
  return ofKind('retry')(message) && text.includes('"isRefusal":true') && !isUnanswered(text)
}
