import { randomUUID } from 'node:crypto'
import { describeWith, sharedRedis } from '@outbox/services'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { trimAcknowledged } from '../src/trim.ts'

/** items of a node of a stream, with which a server trims: its `stream-node-max-entries` */
const node = 100

describeWith('redis', 'trimming a stream', () => {
  it('deletes nothing that a group has still to be given or to acknowledge', async () => {
    await using stream = await openStream(25 * node)
    const { redis, name } = stream
    await redis.xgroup('CREATE', name, 'quick', '0')
    await redis.xgroup('CREATE', name, 'slow', '0')
    await redis.xgroup('CREATE', name, 'careful', '0')
    await stream.give('quick', 25 * node, { acknowledges: 25 * node })
    await stream.give('careful', 20 * node, { acknowledges: 20 * node, butFor: 12 * node })
    expect(await trimAcknowledged(redis, name), 'the group `slow` was given nothing').toBe(0)

    await stream.give('slow', 15 * node, { acknowledges: 15 * node })
    expect(await trimAcknowledged(redis, name)).toBe(12 * node)
    expect(await stream.waitingFor('careful')).toEqual([stream.ids[12 * node]])

    await redis.xack(name, 'careful', stream.ids[12 * node] ?? '')
    expect(await trimAcknowledged(redis, name)).toBe(3 * node)
    expect((await redis.xrange(name, '-', '+', 'COUNT', 1))[0]?.[0]).toBe(stream.ids[15 * node])
  })

  it('deletes nothing of a stream without a group, and a large one in several calls', async () => {
    await using stream = await openStream(250 * node)
    const { redis, name } = stream
    expect(await trimAcknowledged(redis, name)).toBe(0)
    await redis.xgroup('CREATE', name, 'all', '$')
    expect(await trimAcknowledged(redis, name)).toBe(250 * node)
  })

  it('leaves nothing of a quiet stream that was handled, however little that is', async () => {
    await using stream = await openStream(7)
    await stream.redis.xgroup('CREATE', stream.name, 'all', '0')
    await stream.give('all', 5, { acknowledges: 5 })
    // its items are of the year 1970
    expect(await trimAcknowledged(stream.redis, stream.name, Date.now()), 'all is kept').toBe(0)
    expect(await trimAcknowledged(stream.redis, stream.name)).toBe(5)
    await stream.give('all', 2, { acknowledges: 7 })
    expect(await trimAcknowledged(stream.redis, stream.name)).toBe(2)
  })
})

interface Deliveries {
  readonly acknowledges: number
  readonly butFor?: number
}

async function openStream(length: number) {
  const redis = new Redis(await sharedRedis())
  const name = `trim:${randomUUID()}`
  const adding = redis.pipeline()
  // by the thirteenth node the times get a digit more: ids are numbers, and no texts
  for (let index = 0; index < length; index += 1) adding.xadd(name, `${920 + (index >> 4)}-${index % 16}`, 'n', index)
  await adding.exec()
  const ids = (await redis.xrange(name, '-', '+')).map(([id]) => id)
  return {
    redis,
    name,
    ids,
    async give(group: string, upTo: number, { acknowledges, butFor }: Deliveries): Promise<void> {
      await redis.xreadgroup('GROUP', group, 'one', 'COUNT', upTo, 'STREAMS', name, '>')
      const done = ids.slice(0, acknowledges).filter((_, index) => index !== butFor)
      await redis.xack(name, group, ...done)
    },
    async waitingFor(group: string): Promise<readonly unknown[]> {
      const pending = await redis.xpending(name, group, '-', '+', 10)
      return pending.flatMap((each) => (Array.isArray(each) ? [each[0]] : []))
    },
    async [Symbol.asyncDispose]() {
      await redis.del(name)
      redis.disconnect()
    },
  }
}
