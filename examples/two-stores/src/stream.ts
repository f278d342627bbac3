import { randomUUID } from 'node:crypto'
import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeRedisEntry } from '@outbox/redis'
import { Redis } from 'ioredis'

/** what events of orders and of tills carry */
export interface Turnover {
  readonly cents: number
}

/** The stream that both write to. This run has one of its own, which disposing removes. */
export class Stream implements AsyncDisposable {
  readonly name: string = `turnover:${randomUUID()}`
  readonly client: Redis

  private constructor(client: Redis) {
    this.client = client
  }

  static async open(): Promise<Stream> {
    const client = new Redis(process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379', {
      lazyConnect: true,
      socketTimeout: 10_000,
    })
    client.on('error', (error) => console.error(`Redis: ${error.message}`))
    await client.connect() // now, so that a wrong address is told at once
    return new Stream(client)
  }

  async read(): Promise<readonly ReceivedEntry<Turnover>[]> {
    return (await this.client.xrange(this.name, '-', '+')).map((message) => decodeRedisEntry<Turnover>(message))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for await (const keys of this.client.scanStream({ match: `*${this.name}*` })) {
      if (keys.length > 0) await this.client.del(keys)
    }
    this.client.disconnect()
  }
}
