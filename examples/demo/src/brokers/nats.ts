import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { decodeNatsMessage, natsPublisher } from '@outbox/nats'
import type { Delivery, DemoBroker } from './broker.ts'

export async function natsBroker(url: string, run: string): Promise<DemoBroker> {
  const connection = await connect({ servers: url })
  const name = `outbox-demo-${run}`
  const publisher = natsPublisher({ connection, subject: `${name}.{aggregateType}.{aggregateId}` })
  return {
    publisher,
    async setUp() {
      const manager = await jetstreamManager(connection)
      await manager.streams.add({ name, subjects: [`${name}.>`] })
    },
    async readBack() {
      const manager = await jetstreamManager(connection)
      const { state } = await manager.streams.info(name)
      const all: Delivery[] = []
      if (state.messages === 0) return all
      const consumer = await jetstream(connection).consumers.get(name, { deliver_policy: DeliverPolicy.All })
      for await (const message of await consumer.consume()) {
        const { id, aggregateId: orderId, sequence, epoch, payload } = decodeNatsMessage(message)
        all.push({ id, orderId, sequence, epoch, payload })
        if (all.length === state.messages) break
      }
      return all
    },
    async cleanUp() {
      const manager = await jetstreamManager(connection)
      await manager.streams.delete(name)
    },
    close: async () => {
      await publisher.close?.()
      await connection.drain()
    },
  }
}
