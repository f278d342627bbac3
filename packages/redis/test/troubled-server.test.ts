import { describeWith, type OwnServer, waitFor } from '@outbox/services'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import { arrivals, connect, entriesOf, messageOf, publish, servers, statuses, statusOf } from './support.ts'

/** States of a server in which it answers a PING, and takes no write. */
const troubles: readonly {
  readonly name: string
  readonly reply: RegExp
  readonly on: readonly string[]
  readonly off: readonly string[]
}[] = [
  { name: 'is full', reply: /OOM/, on: ['config set maxmemory 1'], off: ['config set maxmemory 0'] },
  { name: 'is a replica', reply: /READONLY/, on: ['replicaof 127.0.0.1 1'], off: ['replicaof no one'] },
  {
    name: 'is a replica that has lost its primary',
    reply: /MASTERDOWN/,
    on: ['config set replica-serve-stale-data no', 'replicaof 127.0.0.1 1'],
    off: ['replicaof no one', 'config set replica-serve-stale-data yes'],
  },
  {
    name: 'has too few replicas',
    reply: /NOREPLICAS/,
    on: ['config set min-replicas-to-write 1'],
    off: ['config set min-replicas-to-write 0'],
  },
]

for (const { name, need, start } of servers) {
  describeWith(need, `${name}, in trouble`, () => {
    let server: OwnServer
    let client: ReturnType<typeof connect>
    let other: ReturnType<typeof connect>
    beforeAll(async () => {
      server = await start()
      client = connect(server.url)
      other = connect(server.url)
    })
    beforeEach(() => client.flushall())
    afterEach(async () => {
      for (const { off } of troubles) await tell(off)
    })
    afterAll(async () => {
      client.disconnect()
      other.disconnect()
      await server[Symbol.asyncDispose]()
    })

    async function tell(commands: readonly string[]): Promise<void> {
      for (const line of commands) {
        const [command = '', ...rest] = line.split(' ')
        await other.call(command, rest)
      }
    }

    for (const { name: trouble, reply, on, off } of troubles) {
      it(`a server that ${trouble} makes entries unavailable and the probe fail, and loses nothing`, async () => {
        const publisher = redisPublisher({ client, stream: 'orders' })
        await publish(publisher, entriesOf('0', [1]))
        const entries = [...entriesOf('1', [1, 2]), ...entriesOf('2', [1])]
        await tell(on)
        const outcomes = await publish(publisher, entries)
        expect(outcomes.map(statusOf)).toEqual(['unavailable', 'notSent', 'unavailable'])
        expect(messageOf(outcomes[0])).toMatch(reply)
        // it answers all the same; but for MASTERDOWN, which is all it says
        if (!reply.test('MASTERDOWN')) expect(await client.ping()).toBe('PONG')
        await expect(publisher.probe?.({})).rejects.toMatchObject({
          code: 'unavailable',
          message: expect.stringMatching(reply),
        })

        await tell(off)
        await expect(publisher.probe?.({})).resolves.toBeUndefined()
        expect(await statuses(publisher, entries)).toEqual(['published', 'published', 'published'])
        expect(await arrivals(client, 'orders')).toEqual(['0/1', '1/1', '1/2', '2/1'])
      })
    }

    it('a server that a script keeps busy makes entries unavailable', async () => {
      await client.config('SET', 'busy-reply-threshold', '10')
      const publisher = redisPublisher({ client, stream: 'orders' })
      const endless = other.eval('while true do end', 0).catch((error: unknown) => error)
      await waitFor(
        () =>
          client.ping().then(
            () => false,
            () => true,
          ),
        { what: 'the server to be busy' },
      )
      const [outcome] = await publish(publisher, entriesOf('1', [1]))
      expect(outcome?.status).toBe('unavailable')
      expect(messageOf(outcome)).toMatch(/BUSY/)
      await client.script('KILL')
      expect(await endless).toBeInstanceOf(Error)
      expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
    })

    it('a probe changes nothing', async () => {
      await redisPublisher({ client, stream: 'orders' }).probe?.({})
      expect(await client.keys('*')).toEqual([])
    })

    it('a user without the right to a command makes entries a retry that says so', async () => {
      await client.call('acl', ['setuser', 'app', 'on', '>secret', '~*', '+@all', '-xadd'])
      using restricted = connect(server.url, { username: 'app', password: 'secret' })
      const [outcome] = await publish(redisPublisher({ client: restricted, stream: 'orders' }), entriesOf('1', [1]))
      expect(outcome?.status).toBe('retry')
      expect(messageOf(outcome)).toMatch(/the ACL user lacks a command or a key that the README lists/)
    })

    it('the rights that the README lists are enough', async () => {
      const rights = ['+eval', '+evalsha', '+xadd', '+exists', '+set', '+hget', '+hset', '+type', '+ping']
      await client.call('acl', ['setuser', 'least', 'reset', 'on', '>secret', '~orders', '~outbox:*', ...rights])
      // without INFO, ioredis cannot tell when the server is ready
      using least = connect(server.url, { username: 'least', password: 'secret', enableReadyCheck: false })
      const publisher = redisPublisher({ client: least, stream: 'orders' })
      expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([expect.stringMatching(/may not call INFO/)])
      expect(await statuses(publisher, entriesOf('1', [1, 2]))).toEqual(['published', 'published'])
      await publisher.probe?.({})
    })
  })
}
