import type { DueEntry, Publisher } from '@outbox/core'
import { createRelay } from '@outbox/relay'
import type { FromRelay, ToRelay } from './messages.ts'
import { openBroker, openStore, type World } from './world.ts'

const tell = (message: FromRelay): void => void process.send?.(message)

/** Entries whose publishing has begun, and which are not settled yet. */
class InHand {
  readonly #ids = new Set<string>()

  /** The publisher; whether anything is in hand is told before the broker gets it, and what got no answer after it. */
  watched(publisher: Publisher): Publisher {
    return {
      ...publisher,
      publish: async (entries, options) => {
        if (this.#ids.size === 0) tell('busy')
        const ids = entries.map(({ id }) => id)
        for (const id of ids) this.#ids.add(id)
        options.signal.addEventListener('abort', () => tell({ unanswered: ids }), { once: true })
        const outcomes = await publisher.publish(entries, options)
        const unanswered = ids.filter((_, index) => outcomes[index]?.status === 'unknown')
        if (unanswered.length > 0) tell({ unanswered })
        return outcomes
      },
    }
  }

  remove(entries: readonly DueEntry[]): void {
    for (const { id } of entries) this.#ids.delete(id)
    if (this.#ids.size === 0) tell('idle')
  }
}

/** A relay process: works until it is told to stop, or killed. */
async function relay(world: World, name: string): Promise<void> {
  const stop = new AbortController()
  process.on('message', (message: ToRelay) => {
    if (message === 'stop') stop.abort()
  })
  process.once('SIGTERM', () => stop.abort())
  process.once('disconnect', () => stop.abort()) // the demo itself is gone
  process.on('SIGINT', () => undefined) // Ctrl-C reaches every process; the demo answers for all
  const store = await openStore(world)
  const broker = await openBroker(world, name)
  const inHand = new InHand()
  const worker = createRelay({
    store: store.outbox,
    publisher: inHand.watched(broker.publisher),
    batchSize: 100,
    // short, so that a demo need not wait long for the dead to be noticed
    leaseMs: 900,
    pollIntervalMs: 150,
    publishTimeoutMs: 600,
    on: {
      published: ({ entries }) => inHand.remove(entries),
      retry: ({ entry }) => inHand.remove([entry]),
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
