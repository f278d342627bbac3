import { describeWith, type RedisSentinel, startRedisSentinel, waitFor } from '@outbox/services'
import { harm, startLoad } from '@outbox/services/under-load'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import { connect, entriesOf, messageOf, publish, read, servers } from './support.ts'

/** All of them: whichever is promoted has it. One that is on its way to be promoted acknowledges nothing more. */
const acknowledge = { replicas: 2, timeoutMs: 1_000 }

// six processes and fail-overs of seconds: the oldest server stands for all
for (const { name, need } of servers.filter(({ need: { version } }) => version === 'distribution')) {
  describeWith(need, `a primary and two replicas that sentinels watch, ${name}`, () => {
    let sentinel: RedisSentinel
    const opened: { disconnect(): void }[] = []
    beforeEach(async () => {
      const { own: server, version = 'newest' } = need
      sentinel = await startRedisSentinel({ server, version, replicas: 2 })
    })
    afterEach(async () => {
      for (const client of opened.splice(0)) client.disconnect()
      await sentinel[Symbol.asyncDispose]()
    })

    /** one of each library, that ask the sentinels where the primary is */
    function clients(): readonly (Redis | Redis5)[] {
      const options = {
        name: sentinel.name,
        sentinels: sentinel.sentinels.map(({ host, port }) => ({ host, port })),
      }
      const both = [new Redis(options), new Redis5(options)]
      for (const client of both) client.on('error', () => undefined)
      opened.push(...both)
      return both
    }
    function direct(url: string): Redis {
      const client = connect(url)
      opened.push(client)
      return client
    }
    /** the replica that was made the primary */
    function promoted(): Promise<Redis> {
      const replicas = sentinel.replicas.map(({ url }) => direct(url))
      return waitFor(
        async () => {
          const are = await Promise.all(replicas.map(isPrimary))
          return replicas.find((_, index) => are[index])
        },
        { what: 'a replica to be promoted', timeoutMs: 120_000 },
      )
    }
    const isPrimary = async (redis: Redis): Promise<boolean> => /role:master/.test(await redis.info('replication'))

    it('killed under load, it loses nothing that the replicas had acknowledged, and costs no attempt', async () => {
      await using load = await startLoad(clients(), (client, stream) => redisPublisher({ client, stream, acknowledge }))
      await load.progress(100)
      await sentinel.primary.kill()
      const primary = await promoted()
      // the sentinels make it follow the one that took its place
      await sentinel.primary.restart()
      await load.progress(100)
      for (const report of await load.finish((stream) => read(primary, stream))) expect(harm(report)).toEqual([])
    })

    it('handed over under load, it refuses as a replica, which is an outage until the client is with the new one', async () => {
      await using load = await startLoad(clients(), (client, stream) => redisPublisher({ client, stream, acknowledge }))
      await load.progress(100)
      const watcher = direct(sentinel.sentinels[0]?.url ?? '')
      await watcher.call('sentinel', ['failover', sentinel.name])
      const primary = await promoted()
      const former = direct(sentinel.primary.url)
      await waitFor(async () => !(await isPrimary(former)), { what: 'the former one to follow', timeoutMs: 120_000 })

      const stale = redisPublisher({ client: former, stream: 'orders' })
      const [outcome] = await publish(stale, entriesOf('1', [1]))
      expect(outcome?.status).toBe('unavailable')
      expect(messageOf(outcome)).toMatch(/READONLY.*wait for the fail-over/)
      await expect(stale.probe?.({})).rejects.toMatchObject({ code: 'unavailable' })

      await load.progress(100)
      for (const report of await load.finish((stream) => read(primary, stream))) expect(harm(report)).toEqual([])
    })
  })
}
