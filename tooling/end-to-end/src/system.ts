import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { freshDatabase, type NodeChild, sharedNats, sharedRedis, spawnNode } from '@outbox/services'
import { type BrokerAddress, createStream } from './brokers.ts'
import type { ProducerProcessOptions } from './producer-process.ts'
import type { RelayProcessOptions } from './relay-process.ts'
import { createShop, type Shop } from './shop.ts'

/** Short times, so that a test need not wait long for the dead to be noticed. */
export const brisk = Object.freeze({ leaseMs: 1_500, pollIntervalMs: 200, publishTimeoutMs: 1_000 })

/** One application, its database and its stream, for one test; disposing ends all its processes. */
export interface System extends AsyncDisposable {
  readonly shop: Shop
  readonly databaseUrl: string
  readonly broker: BrokerAddress
  startRelay(options?: Pick<RelayProcessOptions, 'relay' | 'fault'>): NodeChild
  startProducer(
    options: Omit<ProducerProcessOptions, 'databaseUrl'>,
    environment?: Readonly<Record<string, string>>,
  ): NodeChild
}

/** @param broker.url - default: the shared server of that kind */
export async function createSystem(broker: {
  readonly kind: 'redis' | 'nats'
  readonly url?: string
}): Promise<System> {
  await using stack = new AsyncDisposableStack()
  const database = stack.use(await freshDatabase())
  const shop = stack.use(await createShop(database.url))
  const url = broker.url ?? (broker.kind === 'redis' ? await sharedRedis() : await sharedNats())
  const address: BrokerAddress = { kind: broker.kind, url, stream: `test-${randomBytes(6).toString('hex')}` }
  await createStream(address)
  const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
  const all = stack.move()
  return {
    shop,
    databaseUrl: database.url,
    broker: address,
    startRelay: (options = {}) =>
      all.use(
        spawnNode(file('./relay-process.ts'), [
          JSON.stringify({ databaseUrl: database.url, broker: address, relay: brisk, ...options }),
        ]),
      ),
    startProducer: (options, env = {}) =>
      all.use(
        spawnNode(file('./producer-process.ts'), [JSON.stringify({ databaseUrl: database.url, ...options })], { env }),
      ),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Accepts messages of one kind, for `child.next`. */
export function ofKind(kind: string): (message: unknown) => boolean {
  return (message) => typeof message === 'object' && message !== null && 'kind' in message && message.kind === kind
}

export async function isDrained({ outbox }: Shop): Promise<boolean> {
  return (await outbox.stats()).pending === 0
}
