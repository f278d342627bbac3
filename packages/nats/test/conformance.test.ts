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
import { batchingServer, clients, observe, servers } from './support.ts'

type Variant = Required<Pick<NatsPublisherOptions, 'format' | 'fence' | 'batch'>>

const all = {
  deduplicates: true,
  limitsPayload: true,
  probes: true,
  refuses: true,
  outage: true,
  silence: true,
} as const
const variants: readonly Variant[] = [
  { format: 'headers', fence: 'none', batch: 'none' },
  { format: 'cloudevents', fence: 'subject', batch: 'none' },
]
const atomic: Variant = { format: 'headers', fence: 'none', batch: 'atomic' }

const suites = clients.flatMap((library) => [
  ...servers.flatMap((server) => variants.map((variant) => ({ ...server, library, variant }))),
  { ...batchingServer, library, variant: atomic },
])

for (const { name, need, start, library, variant } of suites) {
  describeWith(
    need,
    `${name}, ${library.name}, ${variant.format}, fence: ${variant.fence}, batch: ${variant.batch}`,
    () => {
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
    },
  )
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
  const batches = variant.batch === 'atomic'
  const stream = await observer.addStream(`${base}.>`, batches ? { allow_atomic: true } : {})
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
  const options = { ...variant, subject, ...(batches ? { stream } : {}) }
  const publisher = natsPublisher({ ...options, connection: redirected })
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
      const peer = natsPublisher({ ...options, connection: observer.connection })
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
