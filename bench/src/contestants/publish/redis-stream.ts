import { Redis } from 'ioredis'
import type { Setting } from '../../contestant.ts'

/** An empty Redis, and how many of the messages are missing. */
export async function openRedis({ brokerUrl, rows }: Setting) {
  const client = new Redis(brokerUrl, { enableOfflineQueue: true })
  const stream = 'bench'
  await client.flushall()
  return { client, stream, left: async () => rows - (await client.xlen(stream)) }
}
