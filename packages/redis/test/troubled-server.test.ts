import type { DueEntry, Publisher } from '@outbox/core'
import { describeWith, type OwnServer, waitFor } from '@outbox/services'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import { streamKeys } from '../src/keys.ts'
import { settingsFrom } from '../src/options.ts'
import { probe } from '../src/probe.ts'
import { scriptRunner } from '../src/run-script.ts'
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

    it.each([
      ['is not there', []],
      ['has entries', ['xadd orders * f v']],
      ['is empty', ['xgroup create orders all 0 mkstream']],
    ])('a probe of a stream that %s changes nothing', async (_, made) => {
      await tell(made)
      const before = await contents()
      await redisPublisher({ client, stream: 'orders' }).probe?.({})
      expect(await contents()).toEqual(before)
    })

    /** Every key, and what it holds. */
    async function contents(): Promise<readonly unknown[]> {
      const keys = await client.keys('*')
      return Promise.all(keys.map(async (key) => [key, await client.dumpBuffer(key)]))
    }

    const revoked: readonly { readonly what: string; readonly on: string; readonly off: string }[] = [
      ...['xadd', 'exists', 'hget', 'hset', 'evalsha'].map((command) => ({
        what: `the command ${command}`,
        on: `-${command}`,
        off: `+${command}`,
      })),
      { what: 'all commands', on: '-@all +info', off: '+@all' },
      { what: 'the stream', on: 'resetkeys ~outbox:*', off: '~orders' },
      { what: 'the writing of the stream', on: 'resetkeys ~outbox:* %R~orders', off: '~orders' },
      { what: 'the keys beside the stream', on: 'resetkeys ~orders', off: '~outbox:*' },
    ]
    for (const { what, on, off } of revoked) {
      it(`a user who has lost ${what}: an outage that tells what to do, until it is given back`, async () => {
        using app = await connectAs('app', ['~orders', '~outbox:*', '+@all'])
        // of a new owner: the fence is written anew
        const entries = [...entriesOf('1', [1, 2], { epoch: 2 }), ...entriesOf('2', [1], { epoch: 2 })]
        const publishers = [
          redisPublisher({ client: app, stream: 'orders' }),
          redisPublisher({ client: app, stream: () => 'orders' }),
        ]
        for (const publisher of publishers) {
          expect(new Set(await statuses(publisher, entriesOf('0', [1])))).toEqual(new Set(['published']))
        }
        await permit('app', on)
        for (const publisher of publishers) {
          const outcomes = await publish(publisher, entries)
          expect(outcomes[0]?.status).toBe('unavailable')
          expect(outcomes.every(({ status }) => status === 'unavailable' || status === 'notSent')).toBe(true)
          expect(messageOf(outcomes[0])).toMatch(/the ACL user lacks a (command|key) that the README lists/)
          await expect(publisher.probe?.({})).rejects.toMatchObject({ code: 'setup-required' })
          await expect(publisher.probe?.({})).rejects.toThrow(/the ACL user lacks/)
        }
        await permit('app', off)
        for (const publisher of publishers) await publisher.probe?.({})
        expect(await statuses(publishers[0] as Publisher, entries)).toEqual(['published', 'published', 'published'])
        expect(await statuses(publishers[1] as Publisher, entries)).toEqual(['duplicate', 'duplicate', 'duplicate'])
      })
    }

    it('a user who has lost EVAL goes on while the server knows the script, and so does the probe', async () => {
      using app = await connectAs('app', ['~orders', '~outbox:*', '+@all'])
      const publisher = redisPublisher({ client: app, stream: 'orders' })
      expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
      await permit('app', '-eval')
      await publisher.probe?.({})
      expect(await statuses(publisher, entriesOf('1', [2]))).toEqual(['published'])
      await client.script('FLUSH')
      await expect(publisher.probe?.({})).rejects.toMatchObject({ code: 'setup-required' })
      expect(await statuses(publisher, entriesOf('1', [3]))).toEqual(['unavailable'])
      await permit('app', '+eval')
      await publisher.probe?.({})
      expect(await statuses(publisher, entriesOf('1', [3]))).toEqual(['published'])
    })

    it('without the right to SET, the probe fails: the repeat of an entry would not be dropped', async () => {
      using app = await connectAs('app', ['~orders', '~outbox:*', '+@all', '-set'])
      await expect(redisPublisher({ client: app, stream: 'orders' }).probe?.({})).rejects.toThrow(/lacks a command/)
    })

    it('the key of the only stream holds something else: an outage until it is gone', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      await client.set('orders', 'x')
      expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['unavailable'])
      await expect(publisher.probe?.({})).rejects.toThrow(/the key 'orders' holds a string, not a stream/)
      await client.del('orders')
      await publisher.probe?.({})
      expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
    })

    for (const [trouble, breakIt] of [
      ['may not be written to', () => permit('app', 'resetkeys ~outbox:* ~well')],
      ['holds something else', () => client.set('ill', 'x')],
    ] as const) {
      it(`one of several streams ${trouble}: its entries' own trouble, and the probe lets the others go on`, async () => {
        using app = await connectAs('app', ['~well', '~ill', '~outbox:*', '+@all'])
        await breakIt()
        const stream = (entry: DueEntry): string => entry.aggregateId
        const publisher = redisPublisher({ client: app, stream })
        // nothing is known of other streams yet: all may be ill, until the next batch may show that they are not
        expect(await statuses(publisher, entriesOf('ill', [1]))).toEqual(['unavailable'])
        await expect(publisher.probe?.({})).rejects.toMatchObject({ code: 'setup-required' })
        const streams = [streamKeys('ill')]
        const settings = settingsFrom({ client: app, stream })
        await probe(settings, scriptRunner(settings), { streams, taken: [], isTrialDue: true }, undefined)
        expect(await statuses(publisher, [...entriesOf('ill', [1]), ...entriesOf('well', [1])])).toEqual([
          'retry',
          'published',
        ])
        // and now that of others is known: an outage only if they are refused, too
        expect(await statuses(publisher, entriesOf('ill', [1]))).toEqual(['unavailable'])
        await publisher.probe?.({})
      })
    }

    async function permit(user: string, rules: string): Promise<void> {
      await client.call('acl', ['setuser', user, ...rules.split(' ')])
    }

    async function connectAs(user: string, rules: readonly string[]): Promise<ReturnType<typeof connect>> {
      await client.call('acl', ['setuser', user, 'reset', 'on', '>secret', ...rules])
      // without INFO, ioredis cannot tell when the server is ready
      return connect(server.url, { username: user, password: 'secret', enableReadyCheck: false })
    }

    it('the rights that the README lists are enough', async () => {
      const rights = ['+eval', '+evalsha', '+xadd', '+exists', '+set', '+hget', '+hset', '+type', '+ping']
      using least = await connectAs('least', ['~orders', '~outbox:*', ...rights])
      const publisher = redisPublisher({ client: least, stream: 'orders' })
      expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([expect.stringMatching(/may not call INFO/)])
      expect(await statuses(publisher, entriesOf('1', [1, 2]))).toEqual(['published', 'published'])
      await publisher.probe?.({})
    })
  })
}
