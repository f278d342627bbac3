import { fileURLToPath } from 'node:url'
import { createRelay } from '@outbox/relay'
import { describeWith, spawnNode, waitFor } from '@outbox/services'
import { afterAll, describe, expect, test } from 'vitest'
import { type BrokerKind, createStream, readStream } from '../src/brokers.ts'
import { clean, type Findings, findings } from '../src/check.ts'
import { freshDirectory } from '../src/places.ts'
import { openPublisher } from '../src/publishers.ts'
import { openMemory } from '../src/stores/memory.ts'
import { openPglite } from '../src/stores/pglite.ts'
import { storeNames, stores } from '../src/stores.ts'
import { brokerAddress, createSystem, isDrained, ofKind } from '../src/system.ts'
import { entriesPerTurn, writeTurn } from '../src/turns.ts'

/** Every store with every broker, through one story: two relays, one of them killed with SIGKILL in the middle. */

const brokers = {
  redis: 'Redis',
  nats: 'JetStream',
  memory: 'memory',
  file: 'file',
} as const satisfies Record<BrokerKind, string>
const brokerKinds = ['redis', 'nats', 'memory', 'file'] as const
const needsOf = (broker: BrokerKind) => (broker === 'redis' || broker === 'nats' ? [broker] : [])
const turns = 12
const limits = { timeout: 300_000 }

const matrix = new Map<string, Map<BrokerKind, string>>()

/** Judges what arrived, and notes it for the table below. */
function judge(store: string, broker: BrokerKind, found: Findings): void {
  const { lost, leaked, outOfOrder, altered, repeats } = found
  const isGood = [lost, leaked, outOfOrder, altered].every(({ length }) => length === 0)
  const row = matrix.get(store) ?? new Map<BrokerKind, string>()
  matrix.set(store, row.set(broker, isGood ? `${turns * entriesPerTurn} ok, ${repeats.length} repeats` : 'BROKEN'))
  // a file drops no repeats: after a kill there may be some
  expect(broker === 'file' ? { ...found, repeats: [] } : found).toEqual(clean)
}

for (const store of storeNames) {
  for (const broker of brokerKinds) {
    const needs = [...stores[store].needs, ...needsOf(broker)]
    describeWith(needs, `${stores[store].title} → ${brokers[broker]}`, () => {
      test('two relay processes, one of them killed: nothing lost, in order', limits, async () => {
        await using system = await createSystem({ kind: broker }, store)
        const victim = system.startRelay()
        const survivor = system.startRelay()
        await Promise.all([victim, survivor].map((relay) => relay.next(ofKind('partitions'))))
        for (let turn = 0; turn < turns / 2; turn++) await writeTurn(system.shop, turn)
        await victim.kill()
        for (let turn = turns / 2; turn < turns; turn++) await writeTurn(system.shop, turn)
        await waitFor(() => isDrained(system.shop), { what: 'the survivor to deliver the rest', timeoutMs: 120_000 })
        await survivor.signal('SIGTERM')
        judge(stores[store].title, broker, findings(await system.shop.committed(), await readStream(system.broker)))
      })
    })
  }
}

for (const broker of brokerKinds) {
  const needs = needsOf(broker)
  describeWith(needs, `PGlite in one process → ${brokers[broker]}`, () => {
    test('the process is killed, and begun again: nothing lost, in order', limits, async () => {
      await using directory = await freshDirectory()
      await using address = await brokerAddress(broker)
      await createStream(address)
      const options = { directory: directory.path, broker: address, turns: turns / 2 }
      const file = fileURLToPath(new URL('../src/whole-process.ts', import.meta.url))
      await using victim = spawnNode(file, [JSON.stringify(options)])
      await victim.next(ofKind('written'))
      await victim.kill()
      await using heir = spawnNode(file, [JSON.stringify(options)])
      await heir.next(ofKind('drained'), 240_000)
      await heir.exit
      await using application = await openPglite(directory.path)
      judge('PGlite in one process', broker, findings(await application.committed(), await readStream(address)))
    })
  })

  describeWith(needs, `memory → ${brokers[broker]}`, () => {
    test('two relays in one process, one of them stopped: nothing lost, in order', limits, async () => {
      await using application = openMemory()
      await using address = await brokerAddress(broker)
      await createStream(address)
      await using first = await openPublisher(address)
      await using second = await openPublisher(address)
      await using one = createRelay({ store: application.outbox, publisher: first.publisher, pollIntervalMs: 50 })
      await using other = createRelay({ store: application.outbox, publisher: second.publisher, pollIntervalMs: 50 })
      await Promise.all([one.start(), other.start()])
      for (let turn = 0; turn < turns; turn++) {
        if (turn === turns / 2) await one.stop()
        await writeTurn(application, turn)
      }
      await waitFor(() => isDrained(application), { what: 'the other relay to deliver the rest' })
      judge('memory', broker, findings(await application.committed(), await readStream(address)))
    })
  })
}

describe('the matrix', () => {
  afterAll(() => {
    const titles = brokerKinds.map((kind) => brokers[kind])
    const rows = [...matrix].map(([store, row]) => [store, ...brokerKinds.map((kind) => row.get(kind) ?? 'not run')])
    const lines = [['store', ...titles], ...rows].map((cells) =>
      cells
        .map((cell) => cell.padEnd(24))
        .join('')
        .trimEnd(),
    )
    process.stdout.write(`\n${lines.join('\n')}\n`)
  })

  test('has no pair that is broken', () => {
    expect([...matrix.values()].flatMap((row) => [...row.values()])).not.toContain('BROKEN')
  })
})
