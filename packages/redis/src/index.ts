export type { RedisClient } from './client.ts'
export { decodeRedisEntry } from './decode.ts'
export type { Acknowledge, RedisFormat, RedisPublisherOptions } from './options.ts'
export { redisPublisher } from './publisher.ts'
