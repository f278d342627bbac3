import { createInterface } from 'node:readline'
import { createRelay } from '@outbox/relay'
import { gated } from './gate.ts'
import { peakMemoryBytes } from './peak-memory.ts'
import type { RelayMessage, RelayProcessOptions } from './relays.ts'
import { nullPublisher } from './rows.ts'
import { postgresStore } from './stores/postgres.ts'

/** A relay beside the process that is measured; it works until its standard input ends. */
const tell = (message: RelayMessage): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

tell({ kind: 'loaded' })
// as: written by `startRelay`
const { url, waits = false } = JSON.parse(process.argv[2] ?? '{}') as RelayProcessOptions
const { outbox, close } = await postgresStore().open(url)
const { store, open } = gated(outbox)
if (!waits) open()
const stop = new AbortController()
const relay = createRelay({ store, publisher: nullPublisher() })
let published = 0
let cpu = process.cpuUsage()
relay.on('partitions', ({ held }) => tell({ kind: 'partitions', held: held.length }))
relay.on('published', ({ entries }) => {
  published += entries.length
  const { user, system } = process.cpuUsage(cpu)
  tell({
    kind: 'published',
    published,
    cpuMs: (user + system) / 1000,
    rssBytes: peakMemoryBytes(),
  })
})
createInterface({ input: process.stdin })
  .once('line', () => {
    cpu = process.cpuUsage()
    open()
    relay.wake()
  })
  .once('close', () => stop.abort())
await relay.run({ signal: stop.signal })
await close()
process.exit(0)
