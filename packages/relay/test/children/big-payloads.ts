import { event, type LeasedSource, type Publisher } from '@outbox/core'
import { memoryOutbox } from '@outbox/memory'
import { createRelay } from '@outbox/relay'

/*
 * Relays a backlog of which the payloads, made as they are fetched, are many times this process's heap. Prints what was
 * published and the most bytes in flight.
 */

const [entries = 0, payloadBytes = 0, batchBytes = 0, lanes = 0] = process.argv.slice(2).map(Number)
const store = memoryOutbox()
await store.transaction((tx) =>
  store.enqueue(
    tx,
    Array.from({ length: entries }, (_, index) =>
      event('order.placed', { aggregateId: `a${index % 500}`, payload: {} }),
    ),
  ),
)

const bigPayload = (): string => JSON.stringify(Buffer.alloc(payloadBytes - 2, 'x').toString('latin1'))

const source: LeasedSource = {
  ...store,
  async fetch(request) {
    const limit = Math.max(1, Math.floor(request.maxBytes / payloadBytes))
    const lent = await store.fetch({ ...request, limit: Math.min(request.limit, limit) })
    return lent.map((entry) => ({ ...entry, payload: bigPayload() }))
  },
}

let inFlight = 0
let mostInFlight = 0
let published = 0
const publisher: Publisher = {
  name: 'slow',
  capabilities: { keepsOrderInBatch: true },
  async publish(batch) {
    const bytes = batch.reduce((sum, { payload }) => sum + payload.length, 0)
    inFlight += bytes
    mostInFlight = Math.max(mostInFlight, inFlight)
    await new Promise((resolve) => setImmediate(resolve))
    inFlight -= bytes
    published += batch.length
    return batch.map(() => ({ status: 'published' }))
  },
}

await createRelay({ store: source, publisher, batchBytes, lanes }).tick()
process.stdout.write(`${JSON.stringify({ published, mostInFlight })}\n`)
