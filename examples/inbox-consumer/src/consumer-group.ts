import { setTimeout } from 'node:timers/promises'
import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeRedisEntry } from '@outbox/redis'
import type { Redis } from 'ioredis'
import type { Sold } from './warehouse.ts'

const group = 'warehouse'
const blockMs = 1_000

/**
 * The stream as one member of the group gets it. A message is acknowledged when the caller asks for the next: after its
 * effect is committed, never before.
 *
 * So a member that dies has a last message that nobody acknowledged. It comes again when the member is back, or another
 * claims it. Needs a connection of its own, which waits for messages. When that is lost, or the stream or its group, it
 * throws: begin again, with what nobody acknowledged.
 */
export async function* readGroup(
  redis: Redis,
  stream: string,
  member: string,
): AsyncGenerator<ReceivedEntry<Sold>, void> {
  await setTimeout(blockMs) // so long the server may go on with an earlier read, whose connection is gone
  await createGroup(redis, stream)
  let from = '0' // first what this member was given and did not acknowledge
  for (;;) {
    const reply = await redis.xreadgroup('GROUP', group, member, 'COUNT', 10, 'BLOCK', blockMs, 'STREAMS', stream, from)
    const items = reply?.[0]?.[1] ?? []
    for (const item of items) {
      if (item[1]) yield decodeRedisEntry<Sold>(item)
      else console.error(`${item[0]} was deleted before it was handled`)
      await redis.xack(stream, group, item[0])
    }
    if (from !== '>') from = items.at(-1)?.[0] ?? '>' // then what nobody was given yet
  }
}

async function createGroup(redis: Redis, stream: string): Promise<void> {
  try {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  } catch (error) {
    const exists = error instanceof Error && error.message.startsWith('BUSYGROUP')
    if (!exists) throw error
  }
}
