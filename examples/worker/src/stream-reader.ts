import { decodeNatsMessage } from '@outbox/nats'
import type { ConsumerMessages, JsMsg, NatsConnection } from 'nats'

/** A consumer that reads the stream from its beginning, and keeps count. */
export class StreamReader implements AsyncDisposable {
  readonly #messages: ConsumerMessages
  readonly #iterator: AsyncIterator<JsMsg>
  readonly #ids = new Set<string>()
  readonly #lastSequences = new Map<string, number>()
  repeats = 0
  outOfOrder = 0

  private constructor(messages: ConsumerMessages) {
    this.#messages = messages
    this.#iterator = messages[Symbol.asyncIterator]()
  }

  static async open(connection: NatsConnection, stream: string): Promise<StreamReader> {
    const consumer = await connection.jetstream().consumers.get(stream)
    return new StreamReader(await consumer.consume())
  }

  /** events, each counted once */
  get events(): number {
    return this.#ids.size
  }

  /** Resolves when so many events were read. */
  async readUntil(events: number): Promise<void> {
    while (this.events < events) {
      const next = await this.#iterator.next()
      if (next.done) throw new Error('the consumer ended')
      this.#count(next.value)
    }
  }

  #count(message: JsMsg): void {
    const { id, aggregateId, sequence } = decodeNatsMessage(message)
    if (this.#ids.has(id)) {
      this.repeats += 1
      return
    }
    if (sequence <= (this.#lastSequences.get(aggregateId) ?? 0)) this.outOfOrder += 1
    this.#lastSequences.set(aggregateId, sequence)
    this.#ids.add(id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#messages.close()
  }
}
