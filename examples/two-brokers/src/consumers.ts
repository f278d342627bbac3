import { setTimeout } from 'node:timers/promises'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeNatsMessage } from '@outbox/nats'
import { decodeRedisEntry } from '@outbox/redis'
import type { Redis } from 'ioredis'

const blockMs = 1_000
const waitMs = 5_000

/**
 * What the warehouse reads from Redis. A message is acknowledged when the caller asks for the next; one that is not
 * comes first at the next start. Needs a connection of its own, which waits for messages. When that is lost, or the
 * stream or its group, it throws: begin again.
 */
export async function* readRedis(redis: Redis, stream: string): AsyncGenerator<ReceivedEntry, void> {
  const group = 'warehouse'
  await setTimeout(blockMs) // so long the server may go on with an earlier read, whose connection is gone
  try {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  } catch (error) {
    const exists = error instanceof Error && error.message.startsWith('BUSYGROUP')
    if (!exists) throw error
  }
  let from = '0' // first what was given and not acknowledged
  for (;;) {
    const reply = await redis.xreadgroup('GROUP', group, 'one', 'COUNT', 10, 'BLOCK', blockMs, 'STREAMS', stream, from)
    const items = reply?.[0]?.[1] ?? []
    for (const item of items) {
      if (item[1]) yield decodeRedisEntry(item)
      else console.error(`${item[0]} was deleted before it was handled`)
      await redis.xack(stream, group, item[0])
    }
    if (from !== '>') from = items.at(-1)?.[0] ?? '>' // then what nobody was given yet
  }
}

/**
 * What accounting reads from NATS. A message is acknowledged when the caller asks for the next; one that is not comes
 * first at the next start. When the stream or its durable is gone it throws: begin again.
 */
export async function* readNats(connection: NatsConnection, stream: string): AsyncGenerator<ReceivedEntry, void> {
  const manager = await jetstreamManager(connection)
  await manager.consumers.add(stream, {
    durable_name: 'accounting',
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: 1, // with more, what comes again comes behind others: out of order
  })
  const consumer = await jetstream(connection).consumers.get(stream, 'accounting')
  for (;;) {
    // one at a time: with more asked for, what comes again would come to a reader that is gone
    const message = await consumer.next({ expires: waitMs })
    if (!message) continue
    let isHandled = false
    try {
      yield decodeNatsMessage(message)
      isHandled = true
    } finally {
      // after `nak` it comes again at once, and not only after the durable's `ack_wait`
      if (isHandled) message.ack()
      else message.nak()
    }
  }
}
