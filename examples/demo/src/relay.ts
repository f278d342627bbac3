import { createRelay } from '@outbox/relay'
import { openBroker, openStore, type World } from './world.ts'

/** A relay process: works until SIGTERM, or until it is killed. */
async function relay(world: World, name: string): Promise<void> {
  const stop = new AbortController()
  process.once('SIGTERM', () => stop.abort())
  process.once('disconnect', () => stop.abort()) // the demo itself is gone
  process.send?.('listening')
  const store = await openStore(world)
  const broker = await openBroker(world, name)
  const worker = createRelay({
    store: store.outbox,
    publisher: broker.publisher,
    batchSize: 100,
    // short, so that a demo need not wait long for the dead to be noticed
    leaseMs: 900,
    pollIntervalMs: 150,
    publishTimeoutMs: 700,
    on: {
      leasesLost: () => process.send?.('interrupted'),
      dead: ({ entry, reason }) => console.error(`${name}: dead letter ${entry.id}: ${reason}`),
      error: ({ error, during }) => console.error(`${name}: ${during}:`, error),
    },
  })
  await worker.run({ signal: stop.signal })
  await broker.close()
  await store.close()
  if (process.connected) process.disconnect()
}

const [world, name] = JSON.parse(process.argv[2] ?? '[]') as [World, string]
await relay(world, name)
