import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compiled, type NodeChild, sharedNats, sharedRedis, spawnNode } from '@outbox/services'
import type { Application } from './application.ts'
import { type BrokerAddress, type BrokerKind, createStream } from './brokers.ts'
import { serveRecordingPublisher } from './memory-broker.ts'
import { freshDirectory, places } from './places.ts'
import type { ProducerProcessOptions } from './producer-process.ts'
import type { RelayProcessOptions } from './relay-process.ts'
import { type StoreAddress, type StoreName, stores } from './stores.ts'

/** Short times, so that a test need not wait long for the dead to be noticed. */
export const brisk = Object.freeze({ leaseMs: 1_500, pollIntervalMs: 200, publishTimeoutMs: 1_000 })

/** No time-out and no expired lease repeats anything, nor counts an attempt: only what a relay leaves undone does. */
export const patient = Object.freeze({ leaseMs: 60_000, pollIntervalMs: 200 })

/**
 * Whether an attempt failed, by the words of its error, as nobody answered: of a broker that answers otherwise it counts,
 * and a slow machine has such.
 */
export function isUnanswered(error: unknown): boolean {
  return /before the broker answered|got no answer/.test(String(error))
}

/** One application, its database and its stream, for one test; disposing ends all its processes. */
export interface System extends AsyncDisposable {
  readonly shop: Application
  readonly store: StoreAddress
  readonly broker: BrokerAddress
  startRelay(options?: Pick<RelayProcessOptions, 'relay' | 'fault'>): NodeChild
  startProducer(
    options: Omit<ProducerProcessOptions, 'store'>,
    environment?: Readonly<Record<string, string>>,
  ): NodeChild
}

/** @param broker.url - default: the shared server of that kind */
export async function createSystem(
  broker: { readonly kind: BrokerKind; readonly url?: string },
  kind: StoreName = 'postgres',
): Promise<System> {
  await using stack = new AsyncDisposableStack()
  const place = stack.use(await places[kind]())
  const shop = stack.use(await stores[kind].create(place.url))
  const store: StoreAddress = { kind, url: place.url }
  const address = stack.use(await brokerAddress(broker.kind, broker.url))
  await createStream(address)
  const [relayProgram, producerProgram] = await Promise.all([programOf('relay'), programOf('producer')])
  const all = stack.move()
  return {
    shop,
    store,
    broker: address,
    startRelay: (options = {}) =>
      all.use(spawnNode(relayProgram, [JSON.stringify({ store, broker: address, relay: brisk, ...options })])),
    startProducer: (options, env = {}) =>
      all.use(spawnNode(producerProgram, [JSON.stringify({ store, ...options })], { env })),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** What to start for a process that relays, or writes. */
export function programOf(role: 'relay' | 'producer'): Promise<string> {
  return compiled(fileURLToPath(new URL(`./${role}-process.ts`, import.meta.url)))
}

/** A stream of the test's own. */
export async function brokerAddress(kind: BrokerKind, url?: string): Promise<BrokerAddress & AsyncDisposable> {
  const stream = `test-${randomBytes(6).toString('hex')}`
  if (kind === 'file') {
    const directory = await freshDirectory()
    return { kind, stream, url: join(directory.path, stream), [Symbol.asyncDispose]: directory[Symbol.asyncDispose] }
  }
  if (kind === 'memory') return { kind, stream, ...(await serveRecordingPublisher()) }
  const shared = url ?? (kind === 'redis' ? await sharedRedis() : await sharedNats())
  return { kind, stream, url: shared, [Symbol.asyncDispose]: async () => undefined }
}

/** Accepts messages of one kind, for `child.next`. */
export function ofKind(kind: string): (message: unknown) => boolean {
  return (message) => typeof message === 'object' && message !== null && 'kind' in message && message.kind === kind
}

export async function isDrained({ outbox }: Application): Promise<boolean> {
  return (await outbox.stats()).pending === 0
}
