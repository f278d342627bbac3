import { redisPublisher } from '@outbox/redis'
import type { Contestant } from '../../contestant.ts'
import { openRedis } from './redis-stream.ts'
import { throughPublisher } from './through-publisher.ts'

export const contestant: Contestant = {
  title: '@outbox/redis',
  role: 'ours',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
  tuning: 'defaults, 4 batches of up to 500 at once',
  async open(setting) {
    const { client, stream, left } = await openRedis(setting)
    return throughPublisher(redisPublisher({ client, stream }), setting, {
      left,
      [Symbol.asyncDispose]: async () => client.disconnect(),
    })
  },
}
