import { randomUUID } from 'node:crypto'
import { type Capability, describePublisher, type OpenedPublisher } from '@outbox/conformance'
import { describeWith, type OwnServer, startTcpProxy, waitFor } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import {
  escapeSubjectToken,
  type NatsConnectionLike,
  type NatsPublisher,
  type NatsPublisherOptions,
  natsPublisher,
} from '../src/index.ts'
import { clients, observe, servers } from './support.ts'

type Variant = Pick<NatsPublisherOptions, 'format' | 'fence'>

const all = {
  deduplicates: true,
  limitsPayload: true,
  probes: true,
  refuses: true,
  outage: true,
  silence: true,
} as const
const suites = servers.flatMap((server) =>
  clients.flatMap((library) =>
    [{ format: 'headers', fence: 'none' } as const, { format: 'cloudevents', fence: 'subject' } as const].map(
      (variant) => ({ ...server, library, variant }),
    ),
  ),
)

for (const { name, need, start, library, variant } of suites) {
  describeWith(need, `${name}, ${library.name}, ${variant.format}, fence: ${variant.fence}`, () => {
    let server: OwnServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server[Symbol.asyncDispose]())
    const fences: Capability = variant.fence === 'subject' || { leftOut: "only with fence: 'subject'" }
    const fencesPartitions = { leftOut: 'JetStream compares per subject' }
    describePublisher('natsPublisher', {
      capabilities: { ...all, fences, fencesPartitions },
      open: () => open(server, library.connect, variant),
    })
  })
}

async function open(
  server: OwnServer,
  connectTo: (typeof clients)[number]['connect'],
  variant: Variant,
): Promise<OpenedPublisher> {
  const proxy = await startTcpProxy(server.url)
  const observer = await observe(server.url)
  const connection = await connectTo(proxy.through(server.url))
  const base = `t${randomUUID()}`
  const stream = await observer.addStream(`${base}.>`)
  await observer.addStream(`refusing-${base}.>`, { max_msg_size: 1 })
  const refused = new Set<string>()
  const redirected: NatsConnectionLike = {
    publish: (subject, data, options) => {
      const isRefused = [...refused].some((aggregateId) => subject.endsWith(`.${escapeSubjectToken(aggregateId)}`))
      connection.publish(isRefused ? `refusing-${subject}` : subject, data, { ...options } as object)
    },
    subscribe: (subject, options) => connection.subscribe(subject, { ...options } as object),
    status: () => connection.status(),
    isClosed: () => connection.isClosed(),
    isDraining: () => connection.isDraining(),
    get info() {
      return connection.info
    },
  }
  const subject = `${base}.{aggregateType}.{aggregateId}`
  const publisher = natsPublisher({ connection: redirected, subject, ...variant })
  await publisher.check?.({ retryHorizonMs: 1_000 })
  const peers: NatsPublisher[] = []
  return {
    publisher,
    received: () => observer.read(stream),
    async refuse(aggregateId) {
      refused.add(aggregateId)
      return async () => void refused.delete(aggregateId)
    },
    async outage() {
      proxy.refuse()
      await waitFor(() => connection.info === undefined, { what: 'the client to notice' })
      return async () => proxy.heal()
    },
    async silence() {
      proxy.blackHole()
      return async () => {
        // both at once: a client that connects again into the hole waits there for its own time-out
        proxy.reset()
        proxy.heal()
      }
    },
    peer: async () => {
      const peer = natsPublisher({ connection: observer.connection, subject, ...variant })
      peers.push(peer)
      return peer
    },
    async close() {
      await Promise.all([publisher, ...peers].map((each) => each.close()))
      await connection.close()
      await observer.deleteStreams()
      await observer[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    },
  }
}
