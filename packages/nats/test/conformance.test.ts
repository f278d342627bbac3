import { randomUUID } from 'node:crypto'
import { describePublisher, type OpenedPublisher } from '@outbox/conformance'
import { describeWith, type OwnServer } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { natsPublisher } from '../src/index.ts'
import { clients } from './support.ts'
import { RefusableConnection, type TroubledConnection, troubledConnection } from './troubled-connection.ts'
import { capabilitiesOf, type Variant, variants } from './variants.ts'

for (const { name, need, start, variant } of variants) {
  describeWith(need, name, () => {
    let server: OwnServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server[Symbol.asyncDispose]())
    for (const library of clients) {
      const open = async () => opened(await troubledConnection(server, library.connect), variant)
      describePublisher(library.name, { capabilities: capabilitiesOf(variant), open })
    }
  })
}

async function opened({ observer, ...troubled }: TroubledConnection, variant: Variant): Promise<OpenedPublisher> {
  const base = `t${randomUUID()}`
  const stream = await observer.addStream(`${base}.>`, { allow_atomic: variant.batch === 'atomic' })
  await observer.addStream(`refusing-${base}.>`, { max_msg_size: 1 })
  const connection = new RefusableConnection(troubled.connection, 'refusing-')
  const options = { ...variant, subject: `${base}.{aggregateType}.{aggregateId}`, stream }
  const publisher = natsPublisher({ ...options, connection })
  await publisher.check?.({ retryHorizonMs: 1_000 })
  return {
    ...troubled, // outage, silence, close
    publisher,
    peer: async () => natsPublisher({ ...options, connection: observer.connection }),
    received: () => observer.read(stream),
    refuse: (aggregateId) => connection.refuse(aggregateId),
  }
}
