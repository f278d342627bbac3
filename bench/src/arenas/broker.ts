import type { OwnServer } from '@outbox/services'
import { startNats, startRedis } from '@outbox/services'
import type { Arena, Meter } from '../arena.ts'
import { cpuMsOf } from '../cpu.ts'

export type BrokerKind = 'redis' | 'nats'

export interface Broker extends AsyncDisposable {
  readonly description: string
  readonly server: OwnServer
}

/** A broker of the benchmark's own that keeps what it takes on disk. */
export async function startBroker(kind: BrokerKind): Promise<Broker> {
  const server =
    kind === 'redis' ? await startRedis({ config: { appendonly: 'yes', appendfsync: 'everysec' } }) : await startNats()
  const settings =
    kind === 'redis' ? 'appendonly yes, appendfsync everysec' : 'file storage, sync_interval 2m (default)'
  return {
    description: `${server.title} ${server.version}: ${settings}`,
    server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** For contestants that need a broker and nothing else; each empties it when it opens it. */
export function brokerArena({ description, server }: Broker): Arena {
  return {
    description,
    place: async () => ({ url: '', [Symbol.asyncDispose]: async () => undefined }),
    async meter(): Promise<Meter> {
      const before = cpuMsOf(server)
      return {
        async read() {
          const now = cpuMsOf(server)
          return { cpuMs: now === undefined || before === undefined ? undefined : now - before }
        },
        deadVersions: async () => undefined,
      }
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
