import { randomUUID } from 'node:crypto'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { DueEntry, Publisher } from '@outbox/core'
import { natsPublisher } from '@outbox/nats'
import { redisPublisher } from '@outbox/redis'
import { describeWith, sharedNats, sharedRedis } from '@outbox/services'
import { Redis } from 'ioredis'
import { expect, it, vi } from 'vitest'
import { readNats, readRedis } from '../src/consumers.ts'

describeWith('redis', 'what the warehouse reads', () => {
  it('goes on behind an item that was deleted before it was handled', async () => {
    const told = vi.spyOn(console, 'error').mockReturnValue()
    await using test = await openRedis()
    const { redis, stream, publisher } = test
    await publish(publisher, 1)
    for await (const { sequence } of readRedis(test.connect(), stream)) {
      expect(sequence).toBe(1)
      break // without its acknowledgement
    }
    const [[item = ''] = []] = await redis.xrange(stream, '-', '+')
    await redis.xdel(stream, item)
    await publish(publisher, 2)
    expect((await readRedis(test.connect(), stream).next()).value?.sequence).toBe(2)
    expect(told.mock.calls).toEqual([[`${item} was deleted before it was handled`]])
    told.mockRestore()
  })
})

describeWith('nats', 'what accounting reads', () => {
  it('comes again at once when it was not handled', async () => {
    await using test = await openNats()
    await publish(test.publisher, 1)
    for (const _ of ['first', 'second']) {
      for await (const { sequence } of readNats(test.connection, test.stream)) {
        expect(sequence).toBe(1)
        break // without its acknowledgement
      }
    }
    const { ack_wait } = (await test.manager.consumers.info(test.stream, 'accounting')).config
    expect(test.elapsedMs()).toBeLessThan((ack_wait ?? 0) / 1_000_000)
  })

  it('ends with an error when its durable is gone, and comes anew after that', async () => {
    await using test = await openNats()
    await publish(test.publisher, 1)
    const events = readNats(test.connection, test.stream)
    expect((await events.next()).value?.sequence).toBe(1)
    const next = events.next().catch((error: unknown) => error)
    await test.manager.consumers.delete(test.stream, 'accounting')
    expect(await next).toBeInstanceOf(Error)
    expect((await readNats(test.connection, test.stream).next()).value?.sequence).toBe(1)
  })
})

async function openRedis() {
  const url = await sharedRedis()
  const clients: Redis[] = []
  const connectRedis = (): Redis => {
    const client = new Redis(url)
    clients.push(client)
    return client
  }
  const redis = connectRedis()
  const stream = `orders:${randomUUID()}`
  return {
    redis,
    stream,
    connect: connectRedis,
    publisher: redisPublisher({ client: redis, stream }),
    [Symbol.asyncDispose]: async () => {
      await redis.del(stream)
      for (const client of clients) client.disconnect()
    },
  }
}

async function openNats() {
  const connection = await connect({ servers: await sharedNats() })
  const manager = await jetstreamManager(connection)
  const stream = `orders-${randomUUID()}`
  await manager.streams.add({ name: stream, subjects: [`${stream}.>`] })
  const publisher = natsPublisher({ connection, subject: `${stream}.{aggregateId}` })
  const begin = performance.now()
  return {
    connection,
    manager,
    stream,
    publisher,
    elapsedMs: () => performance.now() - begin,
    [Symbol.asyncDispose]: async () => {
      await manager.streams.delete(stream)
      await connection.close()
    },
  }
}

async function publish(publisher: Publisher, sequence: number): Promise<void> {
  const id = randomUUID()
  const entry: DueEntry = {
    ...{ id, deduplicationId: id, eventType: 'order.placed', aggregateType: 'order', aggregateId: 'order-1', sequence },
    ...{ occurredAt: new Date(), payload: '{}', headers: {}, source: 'shop', attempt: 1, crashes: 0, isLate: false },
    lease: { partition: 0, epoch: 1, holder: 'relay' },
  }
  expect(await publisher.publish([entry], { signal: new AbortController().signal })).toEqual([{ status: 'published' }])
}
