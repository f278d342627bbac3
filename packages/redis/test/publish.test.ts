import { randomUUID } from 'node:crypto'
import { permanent } from '@outbox/core'
import { describeWith, type OwnServer } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import { arrivals, connect, dueEntry, entriesOf, messageOf, publish, servers, statuses, statusOf } from './support.ts'

for (const { name, need, start } of servers) {
  describeWith(need, `publishing to ${name}`, () => {
    let server: OwnServer
    let client: ReturnType<typeof connect>
    beforeAll(async () => {
      server = await start()
      client = connect(server.url)
    })
    beforeEach(() => client.flushall())
    afterAll(async () => {
      client.disconnect()
      await server[Symbol.asyncDispose]()
    })

    it('entries arrive in the order given, each once', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      const entries = [...entriesOf('1', [1, 2]), ...entriesOf('2', [1]), ...entriesOf('1', [3])]
      expect(await statuses(publisher, entries)).toEqual(['published', 'published', 'published', 'published'])
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '1/2', '2/1', '1/3'])
    })

    it('an empty batch has no outcomes and writes nothing', async () => {
      expect(await publish(redisPublisher({ client, stream: 'orders' }), [])).toEqual([])
      expect(await client.keys('*')).toEqual([])
    })

    it('a repeat within the window is dropped, and counts as published', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      const entries = entriesOf('1', [1, 2])
      await publish(publisher, entries)
      expect(await statuses(publisher, entries)).toEqual(['duplicate', 'duplicate'])
      expect(await statuses(publisher, [...entries, dueEntry({ sequence: 3 })])).toEqual([
        'duplicate',
        'duplicate',
        'published',
      ])
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '1/2', '1/3'])
    })

    it('an id that stands twice in a batch is written once, whether or not others were seen before', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      const [first, second, third] = entriesOf('1', [1, 2, 3])
      if (!first || !second || !third) throw new RangeError('three entries')
      expect(await statuses(publisher, [first, second, first])).toEqual(['published', 'published', 'duplicate'])
      expect(await statuses(publisher, [second, third, third])).toEqual(['duplicate', 'published', 'duplicate'])
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '1/2', '1/3'])
    })

    it('of thousands of entries, those that were seen are found', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      const entries = Array.from({ length: 2_500 }, (_, n) => dueEntry({ sequence: n }))
      await publish(
        publisher,
        [entries.at(1_200), entries.at(-1)].flatMap((entry) => entry ?? []),
      )
      const outcomes = await statuses(publisher, entries)
      expect(outcomes.flatMap((outcome, place) => (outcome === 'duplicate' ? place : []))).toEqual([1_200, 2_499])
      expect(await client.xlen('orders')).toBe(2_500)
    })

    it('an entry that was requeued is delivered once more: it is the deduplication id that is dropped', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      const entry = dueEntry()
      await publish(publisher, [entry])
      expect(await statuses(publisher, [{ ...entry, deduplicationId: `${entry.id}#1` }])).toEqual(['published'])
      expect(await client.xlen('orders')).toBe(2)
    })

    it('an id is remembered for the window, and not longer', async () => {
      const publisher = redisPublisher({ client, stream: 'orders', dedupeWindowMs: 60_000 })
      const entry = dueEntry()
      await publish(publisher, [entry])
      const [seen = ''] = await client.keys(`*${entry.id}`)
      const left = await client.pttl(seen)
      expect(left).toBeGreaterThan(30_000)
      expect(left).toBeLessThanOrEqual(60_000)
    })

    it('an entry that XADD refuses is not remembered: it loses nothing, and stops its aggregate alone', async () => {
      await client.set('bad', 'no stream')
      const publisher = redisPublisher({
        client,
        stream: (entry) => (entry.eventType === 'order.bad' ? 'bad' : 'good'),
      })
      const entries = [
        ...entriesOf('1', [1]),
        ...entriesOf('1', [2], { eventType: 'order.bad' }),
        ...entriesOf('1', [3]),
        ...entriesOf('2', [1, 2]),
      ]
      const outcomes = await publish(publisher, entries)
      expect(outcomes.map(statusOf)).toEqual(['published', 'retry', 'notSent', 'published', 'published'])
      expect(messageOf(outcomes[1])).toMatch(/WRONGTYPE.*is no stream/)
      await client.del('bad')
      expect(await statuses(publisher, entries)).toEqual([
        'duplicate',
        'published',
        'published',
        'duplicate',
        'duplicate',
      ])
      expect(await arrivals(client, 'good')).toEqual(['1/1', '2/1', '2/2', '1/3'])
      expect(await arrivals(client, 'bad')).toEqual(['1/2'])
    })

    it('an entry with more headers than a script can hand on is rejected, alone', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      const headers = Object.fromEntries(Array.from({ length: 4_100 }, (_, n) => [`x-${n}`, 'x']))
      const outcomes = await publish(publisher, [
        dueEntry({ aggregateId: '1' }),
        dueEntry({ aggregateId: '2', headers }),
        dueEntry({ aggregateId: '2', sequence: 2 }),
        dueEntry({ aggregateId: '3' }),
      ])
      expect(outcomes.map(statusOf)).toEqual(['published', 'reject', 'notSent', 'published'])
      expect(messageOf(outcomes[1])).toContain("has 4100 headers; 'redis:orders' takes 1000 at most")
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '3/1'])
    })

    it('an aggregate that goes to two streams stops in both at its first failure', async () => {
      await client.set('a', 'no stream')
      const publisher = redisPublisher({ client, stream: (entry) => (entry.sequence % 2 === 1 ? 'a' : 'b') })
      expect(await statuses(publisher, entriesOf('1', [1, 2, 3]))).toEqual(['unavailable', 'notSent', 'notSent'])
      expect(await client.exists('b')).toBe(0)
    })

    it('a stream function that throws makes its entry a retry, and the batch goes on', async () => {
      const publisher = redisPublisher({
        client,
        stream: (entry) => {
          if (entry.aggregateId === '1') throw new Error('no stream for this one')
          if (entry.aggregateId === '4') throw permanent('no such tenant')
          return entry.aggregateId === '2' ? '' : 'orders'
        },
      })
      const outcomes = await publish(publisher, [
        ...entriesOf('1', [1, 2]),
        ...entriesOf('2', [1]),
        ...entriesOf('3', [1]),
        ...entriesOf('4', [1]),
      ])
      expect(outcomes.map(statusOf)).toEqual(['retry', 'notSent', 'retry', 'published', 'reject'])
      expect(outcomes[0]).toMatchObject({ error: { code: 'callback-failed' } })
      expect(messageOf(outcomes[0])).toBe('The function stream of redisPublisher threw: no stream for this one')
      expect(outcomes[2]).not.toMatchObject({ error: { code: 'callback-failed' } })
      expect(messageOf(outcomes[2])).toMatch(/it is empty/)
    })

    it.each<[string, () => unknown]>([
      ['nothing', () => undefined],
      ['a number', () => 5],
      ['a promise', async () => 'orders'],
      ['a promise that rejects', () => Promise.reject(new Error('no tenant'))],
    ])('a stream function that gives %s has a bug, and no entry is to blame for it', async (_, stream) => {
      const publisher = redisPublisher({ client, stream: stream as () => never }) // a user of JavaScript
      const outcomes = await publish(publisher, entriesOf('1', [1, 2]))
      expect(outcomes.map(statusOf)).toEqual(['retry', 'notSent'])
      expect(outcomes[0]).toMatchObject({
        error: { code: 'callback-failed', details: { callback: 'stream of redisPublisher' } },
      })
    })

    it('a server that forgot the script is told again', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      await publish(publisher, entriesOf('1', [1]))
      await client.script('FLUSH')
      expect(await statuses(publisher, entriesOf('1', [2]))).toEqual(['published'])
    })

    it('a batch is one command, whatever its size', async () => {
      const publisher = redisPublisher({ client, stream: 'orders' })
      await publish(publisher, entriesOf('1', [1]))
      await client.config('RESETSTAT')
      await publish(
        publisher,
        Array.from({ length: 500 }, (_, n) => dueEntry({ aggregateId: String(n % 50), sequence: n })),
      )
      const calls = /cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]
      expect(calls).toBe('1')
      expect(await client.xlen('orders')).toBe(501)
    })

    it('maxLength trims about the oldest, and nothing is trimmed without it', async () => {
      const entries = Array.from({ length: 1_000 }, (_, n) => dueEntry({ sequence: n }))
      await publish(redisPublisher({ client, stream: 'whole' }), entries)
      await publish(redisPublisher({ client, stream: 'trimmed', maxLength: 100 }), entries)
      expect(await client.xlen('whole')).toBe(1_000)
      expect(await client.xlen('trimmed')).toBeLessThan(300)
      expect((await arrivals(client, 'trimmed')).at(-1)).toBe('1/999')
    })

    it('a key prefix of the client stands before the stream, and nothing breaks', async () => {
      using prefixed = connect(server.url, { keyPrefix: 'app:' })
      expect(await statuses(redisPublisher({ client: prefixed, stream: 'orders' }), entriesOf('1', [1]))).toEqual([
        'published',
      ])
      expect(await client.xlen('app:orders')).toBe(1)
      for (const key of await client.keys('*')) expect(key).toMatch(/^app:(orders$|outbox:)/)
    })

    it('two publishers with one stream drop the same ids; two streams do not', async () => {
      const entry = dueEntry({ id: randomUUID() })
      expect(await statuses(redisPublisher({ client, stream: '{shop}:a' }), [entry])).toEqual(['published'])
      expect(await statuses(redisPublisher({ client, stream: '{shop}:a' }), [entry])).toEqual(['duplicate'])
      expect(await statuses(redisPublisher({ client, stream: '{shop}:b' }), [entry])).toEqual(['published'])
    })
  })
}
