import { randomUUID } from 'node:crypto'
import { describePublisher, type OpenedPublisher } from '@outbox/conformance'
import { describeWith, type OwnServer } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { type RedisFormat, redisPublisher } from '../src/index.ts'
import { clients, read, servers } from './support.ts'
import { type TroubledClient, troubledClient } from './troubled-client.ts'

const plays = { deduplicates: true, limitsPayload: true, fences: true, fencesPartitions: true, probes: true } as const
const capabilities = { ...plays, refuses: true, outage: true, silence: true } as const
for (const { name, need, start } of servers) {
  for (const library of clients) {
    const format: RedisFormat = library.name === 'ioredis 5' ? 'cloudevents' : 'fields'
    describeWith(need, `${name}, ${library.name}, ${format}`, () => {
      let server: OwnServer
      beforeAll(async () => {
        server = await start({ appendonly: 'yes' })
      })
      afterAll(() => server[Symbol.asyncDispose]())
      const open = async () => opened(await troubledClient(server, library.connect), format)
      describePublisher('redisPublisher', { capabilities, open })
    })
  }
}

async function opened({ client, direct, ...rest }: TroubledClient, format: RedisFormat): Promise<OpenedPublisher> {
  const [stream, noStream] = [`test:${randomUUID()}`, `test:${randomUUID()}`]
  await direct.set(noStream, 'a string, to which the server appends no entry')
  const refused = new Set<string>()
  return {
    publisher: redisPublisher({ client, stream: (e) => (refused.has(e.aggregateId) ? noStream : stream), format }),
    received: () => read(direct, stream),
    async refuse(aggregateId) {
      refused.add(aggregateId)
      return async () => void refused.delete(aggregateId)
    },
    peer: async () => redisPublisher({ client: direct, stream, format }),
    ...rest, // outage, silence, close
  }
}
