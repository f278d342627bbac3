import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { expect, it } from 'vitest'
import { type RedisClient, redisPublisher } from '../src/index.ts'

it('clients of ioredis 5 and 6, single and cluster, fit without a cast', () => {
  const options = { lazyConnect: true } as const
  const clients: readonly RedisClient[] = [
    new Redis(options),
    new Redis({ ...options, replyMapping: 'resp3' }),
    new Redis5(options),
    new Cluster([], options),
    new Cluster5([], options),
  ]
  for (const client of clients) expect(redisPublisher({ client, stream: 'orders' }).name).toBe('redis:orders')
})

it('what is no client, or no option, does not compile', () => {
  const client = new Redis({ lazyConnect: true })
  // @ts-expect-error a URL is no client
  expect(() => redisPublisher({ client: 'redis://127.0.0.1', stream: 'orders' })).toThrow()
  // @ts-expect-error a misspelt option
  expect(() => redisPublisher({ client, stream: 'orders', maxLen: 5 })).toThrow()
  // @ts-expect-error a stream function returns a name
  expect(redisPublisher({ client, stream: () => 5 }).name).toBe('redis')
})
