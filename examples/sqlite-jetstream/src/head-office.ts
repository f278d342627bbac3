import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeNatsMessage } from '@outbox/nats'
import type { Sale } from './till.ts'

const waitMs = 5_000
const minutes = 60_000

/** Where the sales of all tills go. Disposing removes the stream, so that runs of this example do not meet. */
export class HeadOffice implements AsyncDisposable {
  readonly connection: NatsConnection
  readonly #stream: string

  private constructor(connection: NatsConnection, stream: string) {
    this.connection = connection
    this.#stream = stream
  }

  /** what the subject of a sale is made of: one subject per till, which the publisher's fence asks for */
  get subject(): string {
    return `${this.#stream}.{aggregateType}.{aggregateId}`
  }

  static async open(stream: string): Promise<HeadOffice> {
    const connection = await connect({
      servers: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
      maxReconnectAttempts: -1, // after any outage, however long
    })
    const manager = await jetstreamManager(connection)
    await manager.streams.add({
      name: stream,
      subjects: [`${stream}.>`],
      duplicate_window: nanos(15 * minutes), // longer than the relay tries an event again
    })
    return new HeadOffice(connection, stream)
  }

  /**
   * The sales, as they stand in the stream. One is acknowledged when the caller asks for the next, or comes first at the
   * next start. When the stream or its durable is gone it throws: begin again.
   */
  async *sales(): AsyncGenerator<ReceivedEntry<Sale>, void> {
    const manager = await jetstreamManager(this.connection)
    await manager.consumers.add(this.#stream, {
      durable_name: 'accounts',
      ack_policy: AckPolicy.Explicit,
      max_ack_pending: 1, // with more, what comes again comes behind others: out of order
    })
    const consumer = await jetstream(this.connection).consumers.get(this.#stream, 'accounts')
    for (;;) {
      // one at a time: with more asked for, what comes again would come to a reader that is gone
      const message = await consumer.next({ expires: waitMs })
      if (!message) continue
      let isHandled = false
      try {
        yield decodeNatsMessage<Sale>(message)
        isHandled = true
      } finally {
        // after `nak` it comes again at once, and not only after the durable's `ack_wait`
        if (isHandled) message.ack()
        else message.nak()
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const manager = await jetstreamManager(this.connection)
    await manager.streams.delete(this.#stream)
    await this.connection.drain()
  }
}
