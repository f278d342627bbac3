import { describeWith, type OwnServer, startTcpProxy, waitFor } from '@outbox/services'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { takeUpTo } from '../src/acknowledge.ts'
import { redisPublisher } from '../src/index.ts'
import {
  arrivals,
  connect,
  dueEntry,
  entriesOf,
  errorOf,
  messageOf,
  publish,
  servers,
  serversWithWaitAof,
  statuses,
  statusOf,
} from './support.ts'

it('what gathers goes out in parts where it is too much for one text', () => {
  const parts = (...lengths: readonly number[]) => {
    const left = lengths.map((length) => ({ length }))
    const taken: number[][] = []
    while (left.length > 0) taken.push(takeUpTo(10, left).map(({ length }) => length))
    return taken
  }
  expect(parts(4, 6, 1)).toEqual([[4, 6], [1]])
  expect(parts(20, 20, 3, 3)).toEqual([[20], [20], [3, 3]])
  expect(parts(1, 2)).toEqual([[1, 2]])
})

/** Until what was asked for has been sent, or waits to be. */
const underWay = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

for (const { name, need, start } of servers) {
  describeWith(need, `waiting for replicas of ${name}`, () => {
    let primary: OwnServer
    let replica: OwnServer
    let client: ReturnType<typeof connect>
    beforeAll(async () => {
      primary = await start({ 'repl-diskless-sync-delay': '0' })
      replica = await start()
      client = connect(primary.url)
      using follower = connect(replica.url)
      await follower.replicaof(primary.host, primary.port)
      await waitFor(async () => (await client.wait(1, 10)) === 1, { what: 'the replica to follow' })
    })
    beforeEach(() => client.flushall())
    afterEach(() => replica.continue())
    afterAll(async () => {
      client.disconnect()
      await replica[Symbol.asyncDispose]()
      await primary[Symbol.asyncDispose]()
    })

    it('an entry counts as published once so many have it', async () => {
      const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 5_000 } })
      const entries = entriesOf('1', [1, 2])
      expect(await statuses(publisher, entries)).toEqual(['published', 'published'])
      expect(await statuses(publisher, entries)).toEqual(['duplicate', 'duplicate'])
    })

    it('too few leave it unknown, and so does a repeat, and fail the probe, until the replica has caught up', async () => {
      const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 50 } })
      const entries = entriesOf('1', [1, 2])
      replica.pause()
      const outcomes = await publish(publisher, entries)
      expect(outcomes.map(statusOf)).toEqual(['unknown', 'unknown'])
      expect(messageOf(outcomes[0])).toMatch(/after 50 ms it was on 0 of 1 replicas/)
      expect(await statuses(publisher, entries)).toEqual(['unknown', 'unknown'])
      await expect(publisher.probe?.({})).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringMatching(/cannot acknowledge them as asked: after 50 ms it was on 0 of 1 replicas/),
      })
      replica.continue()
      await waitFor(async () => (await statuses(publisher, entries))[0] === 'duplicate', { what: 'the replica' })
      await publisher.probe?.({})
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '1/2'])
    })

    it('a repeat on a new connection is not taken for acknowledged, though that connection wrote nothing before', async () => {
      const acknowledge = { replicas: 1, timeoutMs: 50 }
      const entries = entriesOf('1', [1])
      replica.pause()
      expect(await statuses(redisPublisher({ client, stream: 'orders', acknowledge }), entries)).toEqual(['unknown'])
      using fresh = connect(primary.url)
      expect(await statuses(redisPublisher({ client: fresh, stream: 'orders', acknowledge }), entries)).toEqual([
        'unknown',
      ])
    })

    it('the probe asks about a write of its own, not about an earlier one of its connection, nor about none', async () => {
      const acknowledge = { replicas: 1, timeoutMs: 50 }
      expect(
        await statuses(
          redisPublisher({ client, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 5_000 } }),
          entriesOf('1', [1]),
        ),
      ).toEqual(['published'])
      using fresh = connect(primary.url)
      const publishers = [client, fresh].map((one) => redisPublisher({ client: one, stream: 'orders', acknowledge }))
      replica.pause()
      for (const publisher of publishers) {
        expect(await errorOf(Promise.resolve(publisher.probe?.({})))).toMatchObject({
          code: 'unavailable',
          message: expect.stringMatching(/after 50 ms it was on 0 of 1 replicas/),
        })
      }
      replica.continue()
      for (const publisher of publishers) {
        await waitFor(async () => (await Promise.allSettled([publisher.probe?.({})]))[0].status === 'fulfilled', {
          what: 'the replica',
        })
      }
      // what it wrote is gone soon
      await waitFor(async () => (await client.keys('*seen:')).length === 0, { what: 'its mark to expire' })
      expect(await arrivals(client, 'orders')).toEqual(['1/1'])
    })

    it('a call may have more arguments than a function takes', async () => {
      const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 5_000 } })
      const headers = Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`x-${n}`, 'x']))
      const entries = Array.from({ length: 2_000 }, (_, n) => dueEntry({ aggregateId: String(n), headers }))
      expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['published']))
    })

    it('what is given up behind the wait of another is not sent any more', async () => {
      const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 5_000 } })
      replica.pause()
      const first = publish(publisher, entriesOf('1', [1]))
      await underWay()
      const leaving = new AbortController()
      const second = publisher.publish(entriesOf('2', [1]), { signal: leaving.signal })
      const third = publish(publisher, entriesOf('3', [1]))
      await underWay()
      leaving.abort()
      replica.continue()
      const outcomes = await Promise.all([first, second, third])
      expect(outcomes.flat().map(statusOf)).toEqual(['published', 'unknown', 'published'])
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '3/1'])
    })

    it('what was refused stays refused: only what was written waits', async () => {
      await client.set('bad', 'no stream')
      const publisher = redisPublisher({
        client,
        stream: (entry) => (entry.aggregateId === '1' ? 'bad' : 'good'),
        acknowledge: { replicas: 1, timeoutMs: 5_000 },
      })
      expect(await statuses(publisher, [...entriesOf('1', [1]), ...entriesOf('2', [1])])).toEqual([
        'retry',
        'published',
      ])
    })

    it('a server that forgot the script is told again', async () => {
      const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 5_000 } })
      await client.script('FLUSH')
      expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
    })

    it('a connection that breaks meanwhile leaves it unknown', async () => {
      await using proxy = await startTcpProxy(primary.url)
      using proxied = connect(proxy.through(primary.url), { autoResendUnfulfilledCommands: false })
      const acknowledge = { replicas: 1, timeoutMs: 5_000 }
      const publisher = redisPublisher({ client: proxied, stream: 'orders', acknowledge })
      await publish(publisher, entriesOf('0', [1]))
      proxy.holdAnswers()
      const publishing = publish(publisher, entriesOf('1', [1]))
      await waitFor(async () => (await client.xlen('orders')) === 2, { what: 'the entry to be written' })
      proxy.reset()
      expect((await publishing).map(statusOf)).toEqual(['unknown'])
    })
  })
}

for (const { name, need, start } of serversWithWaitAof) {
  describeWith(need, `waiting for the disk of ${name}`, () => {
    it('an entry counts as published once it is on the disk', async () => {
      await using server = await start({ appendonly: 'yes', appendfsync: 'always' })
      using client = connect(server.url)
      const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { fsync: 'local', timeoutMs: 5_000 } })
      expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([])
      expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
    })

    describe('that is written to once a second', () => {
      let server: OwnServer
      let client: ReturnType<typeof connect>
      const entries = Array.from({ length: 8 }, (_, n) => entriesOf(String(n), [1, 2])).flat()
      const stream = ({ aggregateId }: { readonly aggregateId: string }) => `orders:${aggregateId}`
      const countWaits = async (): Promise<number> => {
        const [, calls] = /cmdstat_waitaof:calls=(\d+)/.exec(await client.info('commandstats')) ?? []
        return Number(calls ?? 0)
      }
      beforeAll(async () => {
        server = await start({ appendonly: 'yes', appendfsync: 'everysec' })
        client = connect(server.url)
      })
      beforeEach(async () => {
        await client.flushall()
        await statuses(redisPublisher({ client, stream }), entriesOf('first', [1])) // makes the script known
        await client.call('config', ['resetstat'])
      })
      afterAll(async () => {
        client.disconnect()
        await server[Symbol.asyncDispose]()
      })

      it('the check at start tells what that costs', async () => {
        const publisher = redisPublisher({ client, stream, acknowledge: { fsync: 'local', timeoutMs: 5_000 } })
        expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([
          expect.stringMatching(/once a second, and every publish waits for it: set `appendfsync always`/),
        ])
      })

      it('all streams of a batch share one wait', async () => {
        const publisher = redisPublisher({ client, stream, acknowledge: { fsync: 'local', timeoutMs: 5_000 } })
        expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['published']))
        expect(await countWaits()).toBe(1)
      })

      it('publishes that come while one waits share the next wait', async () => {
        const publisher = redisPublisher({ client, stream, acknowledge: { fsync: 'local', timeoutMs: 5_000 } })
        const lanes = Array.from({ length: 8 }, (_, n) => entriesOf(`lane ${n}`, [1]))
        const first = statuses(publisher, entries)
        await underWay()
        const others = await Promise.all(lanes.map((lane) => statuses(publisher, lane)))
        expect(new Set([...(await first), ...others.flat()])).toEqual(new Set(['published']))
        expect(await countWaits()).toBe(2)
      })

      it('a probe of many streams in trouble has one wait', async () => {
        const publisher = redisPublisher({ client, stream, acknowledge: { fsync: 'local', timeoutMs: 1 } })
        await waitFor(async () => (await statuses(publisher, entries)).every((status) => status === 'unknown'), {
          what: 'the disk to be too slow',
        })
        await client.call('config', ['resetstat'])
        await Promise.allSettled([publisher.probe?.({})])
        expect(await countWaits()).toBe(1)
      })
    })

    it('the disks of replicas that are not there leave it unknown', async () => {
      await using server = await start({ appendonly: 'yes', appendfsync: 'always' })
      using client = connect(server.url)
      const acknowledge = { fsync: 'all', replicas: 1, timeoutMs: 50 } as const
      const [outcome] = await publish(redisPublisher({ client, stream: 'orders', acknowledge }), entriesOf('1', [1]))
      expect(outcome?.status).toBe('unknown')
      expect(messageOf(outcome)).toMatch(/0 of 1 replicas/)
    })

    it('a server without an append-only file is found at start', async () => {
      await using server = await start()
      using client = connect(server.url)
      const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { fsync: 'local', timeoutMs: 50 } })
      expect(await errorOf(Promise.resolve(publisher.check?.({ retryHorizonMs: 1 })))).toMatchObject({
        code: 'setup-required',
        message: expect.stringMatching(/set `appendonly yes`/),
      })
    })
  })
}
