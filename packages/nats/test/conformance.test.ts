import { randomUUID } from 'node:crypto'
import { type Capability, describePublisher, type OpenedPublisher } from '@outbox/conformance'
import { describeWith, type OwnServer } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { escapeSubjectToken, natsPublisher } from '../src/index.ts'
import { clients } from './support.ts'
import { redirected, type TroubledConnection, troubledConnection } from './troubled-connection.ts'
import { type Variant, variants } from './variants.ts'

const plays = { deduplicates: true, limitsPayload: true, probes: true, refuses: true } as const
const troubles = { outage: true, silence: true } as const
const fencesPartitions: Capability = { leftOut: 'JetStream compares per subject' }

for (const { name, need, start, variant } of variants) {
  describeWith(need, name, () => {
    let server: OwnServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server[Symbol.asyncDispose]())
    const fences: Capability = variant.fence === 'subject' || { leftOut: "only with fence: 'subject'" }
    for (const library of clients) {
      const open = async () => opened(await troubledConnection(server, library.connect), variant)
      describePublisher(library.name, { capabilities: { ...plays, ...troubles, fences, fencesPartitions }, open })
    }
  })
}

async function opened({ connection, observer, ...rest }: TroubledConnection, variant: Variant) {
  const base = `t${randomUUID()}`
  const stream = await observer.addStream(`${base}.>`, { allow_atomic: variant.batch === 'atomic' })
  await observer.addStream(`refusing-${base}.>`, { max_msg_size: 1 })
  const refused = new Set<string>()
  const options = { ...variant, subject: `${base}.{aggregateType}.{aggregateId}`, stream }
  const redirect = (subject: string) =>
    [...refused].some((end) => subject.endsWith(end)) ? `refusing-${subject}` : subject
  const publisher = natsPublisher({ ...options, connection: redirected(connection, redirect) })
  await publisher.check?.({ retryHorizonMs: 1_000 })
  return {
    publisher,
    peer: async () => natsPublisher({ ...options, connection: observer.connection }),
    received: () => observer.read(stream),
    async refuse(aggregateId: string) {
      const end = `.${escapeSubjectToken(aggregateId)}`
      refused.add(end)
      return async () => void refused.delete(end)
    },
    ...rest, // outage, silence, close
  } satisfies OpenedPublisher
}
