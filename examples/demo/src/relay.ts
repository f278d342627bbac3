import { createRelay } from '@outbox/relay'
import type { FromRelay, ToRelay } from './messages.ts'
import { openBroker, openStore, type World } from './world.ts'

const tell = (message: FromRelay): void => void process.send?.(message)

/** A relay process: works until it is told to stop, or killed. */
async function relay(world: World, name: string): Promise<void> {
  const stop = new AbortController()
  process.on('message', (message: ToRelay) => {
    if (message === 'stop') stop.abort()
  })
  process.once('SIGTERM', () => stop.abort())
  process.once('disconnect', () => stop.abort()) // the demo itself is gone
  process.on('SIGINT', () => undefined) // Ctrl-C reaches every process; the demo answers for all
  let hasPublished = false
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
      published() {
        if (!hasPublished) tell('working')
        hasPublished = true
      },
      leasesLost: () => tell('interrupted'),
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
