import { randomUUID } from 'node:crypto'
import { describePublisher, type OpenedPublisher, type PublisherSuiteCapabilities } from '@outbox/conformance'
import { describeWith, type OwnServer, startTcpProxy, waitFor } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { type RedisFormat, redisPublisher } from '../src/index.ts'
import { clients, connect, read, servers } from './support.ts'

const all: PublisherSuiteCapabilities = {
  deduplicates: true,
  limitsPayload: true,
  fences: true,
  fencesPartitions: true,
  probes: true,
  refuses: true,
  outage: true,
  silence: true,
}
const suites = servers.flatMap((server) =>
  clients.map(
    (library) => ({ ...server, library, format: library.name === 'ioredis 5' ? 'cloudevents' : 'fields' }) as const,
  ),
)

for (const { name, need, start, library, format } of suites) {
  describeWith(need, `${name}, ${library.name}, ${format}`, () => {
    let server: OwnServer
    beforeAll(async () => {
      server = await start({ appendonly: 'yes' })
    })
    afterAll(() => server[Symbol.asyncDispose]())
    describePublisher('redisPublisher', { capabilities: all, open: () => open(server, library.connect, format) })
  })
}

async function open(
  server: OwnServer,
  connectTo: (typeof clients)[number]['connect'],
  format: RedisFormat,
): Promise<OpenedPublisher> {
  const proxy = await startTcpProxy(server.url)
  const direct = connect(server.url)
  // what was in a black hole is not sent again: the suite asks that nothing arrives which was called not sent
  const client = connectTo(proxy.through(server.url), { autoResendUnfulfilledCommands: false })
  const isBack = async (): Promise<void> => {
    proxy.heal()
    await waitFor(() => client.status === 'ready', { what: 'the client to be back' })
  }
  const stream = `test:${randomUUID()}`
  const wrongKey = `${stream}:no stream`
  const refused = new Set<string>()
  await direct.set(wrongKey, '')
  const streamOf = ({ aggregateId }: { readonly aggregateId: string }): string =>
    refused.has(aggregateId) ? wrongKey : stream
  return {
    publisher: redisPublisher({ client, stream: streamOf, format }),
    received: () => read(direct, stream),
    async refuse(aggregateId) {
      refused.add(aggregateId)
      return async () => void refused.delete(aggregateId)
    },
    async outage() {
      proxy.refuse()
      await waitFor(() => client.status === 'reconnecting', { what: 'the client to notice' })
      return isBack
    },
    async silence() {
      proxy.blackHole()
      return async () => {
        proxy.reset()
        await waitFor(() => client.status !== 'ready', { what: 'the client to notice' })
        await isBack()
      }
    },
    peer: async () => redisPublisher({ client: direct, stream, format }),
    async close() {
      client.disconnect()
      await direct.flushall()
      direct.disconnect()
      await proxy[Symbol.asyncDispose]()
    },
  }
}
