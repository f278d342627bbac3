import { randomUUID } from 'node:crypto'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { describeWith, sharedNats } from '@outbox/services'
import { expect, it } from 'vitest'
import { consume } from '../src/consumers.ts'

describeWith('nats', 'the messages of a durable consumer', () => {
  it('end with an error when the durable is gone, and come anew after that', async () => {
    const connection = await connect({ servers: await sharedNats() })
    try {
      const [manager, js, stream] = [
        await jetstreamManager(connection),
        jetstream(connection),
        `parcels-${randomUUID()}`,
      ]
      await manager.streams.add({ name: stream, subjects: [`${stream}.>`] })
      const messages = await consume({ js, manager, stream }, 'postage', `${stream}.>`)
      const reading = (async () => {
        for await (const message of messages) message.ack()
      })()
      await Promise.all([
        // which of the two depends on whether the deletion met a request for messages, or came before it
        expect(reading).rejects.toThrow(/^consumer (deleted|not found)$/),
        manager.consumers.delete(stream, 'postage'),
      ])

      await js.publish(`${stream}.parcel`)
      for await (const message of await consume({ js, manager, stream }, 'postage', `${stream}.>`)) {
        expect(message.subject).toBe(`${stream}.parcel`)
        break
      }
      await manager.streams.delete(stream)
    } finally {
      await connection.close()
    }
  })
})
