import { createRelay } from '@outbox/relay'
import type { BrokerAddress } from './brokers.ts'
import { openPublisher } from './publishers.ts'
import { openPglite } from './stores/pglite.ts'
import { writeTurn } from './turns.ts'

/** What the process is told, as JSON in its first argument. */
export interface WholeProcessOptions {
  readonly directory: string
  readonly broker: BrokerAddress
  readonly turns: number
}

/** An application whose database belongs to one process: the producer and two relays live in it. */
const { directory, broker, turns } = JSON.parse(process.argv[2] ?? '{}') as WholeProcessOptions
const tell = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`)
process.stdin.once('end', () => process.exit(1)).resume() // the test is gone

const application = await openPglite(directory)
const publishers = [await openPublisher(broker), await openPublisher(broker)]
const times = { leaseMs: 1_500, pollIntervalMs: 100, publishTimeoutMs: 1_000 }
const relays = publishers.map(({ publisher }) => createRelay({ store: application.outbox, publisher, ...times }))
await Promise.all(relays.map((relay) => relay.start()))
for (let turn = 0; turn < turns; turn++) {
  await writeTurn(application, turn)
  tell({ kind: 'turn', turn })
}
tell({ kind: 'written' })
while ((await application.outbox.stats()).pending > 0) await new Promise((resolve) => setTimeout(resolve, 50))
await Promise.all(relays.map((relay) => relay.stop()))
await Promise.all(publishers.map((publisher) => publisher[Symbol.asyncDispose]()))
await application[Symbol.asyncDispose]()
tell({ kind: 'drained' })
process.exit(0)
