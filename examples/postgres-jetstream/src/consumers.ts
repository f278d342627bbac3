import { AckPolicy, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream'
import { decodeNatsMessage } from '@outbox/nats'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { ParcelPosted } from './post-office.ts'
import type { Servers } from './servers.ts'
import { postages } from './tables.ts'

/**
 * The messages of a durable consumer: JetStream keeps its place, and gives a message again that nobody acknowledged.
 * When the durable or its stream is gone, reading them throws: begin again.
 */
export async function consume(
  { js, manager, stream }: Pick<Servers, 'js' | 'manager' | 'stream'>,
  name: string,
  subjects: string,
): Promise<ConsumerMessages> {
  await manager.consumers.add(stream, {
    durable_name: name,
    filter_subject: subjects,
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: 1, // with more, what comes again comes behind others: out of order
  })
  const consumer = await js.consumers.get(stream, name)
  return consumer.consume({ abort_on_missing_resource: true }) // without, they would wait for ever
}

/** Takes postage once per event, however often it is delivered: the event's id is the key. */
export async function takePostage(db: NodePgDatabase, message: JsMsg): Promise<string> {
  const { id, eventType, aggregateId, sequence, payload } = decodeNatsMessage<ParcelPosted>(message)
  const cents = payload.grams > 500 ? 450 : 250
  const written = await db
    .insert(postages)
    .values({ eventId: id, label: aggregateId, cents })
    .onConflictDoNothing()
    .returning()
  const effect = written.length > 0 ? `postage ${cents} cents` : 'postage was taken already'
  return `${aggregateId} #${sequence} ${eventType}: ${effect}`
}
