import { describeWith, type OwnServer, type RedisCluster, startRedisCluster, waitFor } from '@outbox/services'
import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis-5'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { slotOf } from '../src/cluster-slots.ts'
import { redisPublisher } from '../src/index.ts'
import { streamKeys } from '../src/keys.ts'
import { arrivals, connect, dueEntry, entriesOf, messageOf, publish, servers, statuses } from './support.ts'

// looks for moved slots often, so that tests need not wait five seconds
const options = { slotsRefreshInterval: 100, redisOptions: { socketTimeout: 10_000 } }
/** does not look by itself, and hands on what it is told */
const asking = { retryDelayOnClusterDown: 0 }
const libraries = [
  { name: 'ioredis 6', open: (port: number, how: object = options) => new Cluster([{ host: '127.0.0.1', port }], how) },
  {
    name: 'ioredis 5',
    open: (port: number, how: object = options) => new Cluster5([{ host: '127.0.0.1', port }], how),
  },
]

for (const { name, need } of servers) {
  describeWith(need, `a cluster of one node, ${name}`, () => {
    let cluster: RedisCluster
    let server: OwnServer
    let node: ReturnType<typeof connect>
    const isServed = async (): Promise<boolean> => /cluster_state:ok/.test(String(await node.cluster('INFO')))
    beforeAll(async () => {
      const { own, version = 'newest' } = need
      // half a second until slots that come back are served
      const config = { 'cluster-node-timeout': '500', appendonly: 'yes' }
      cluster = await startRedisCluster({ server: own, version, masters: 1, config })
      const [only] = cluster.masters
      if (!only) throw new Error('the cluster has no node')
      server = only
      node = connect(server.url)
    })
    beforeEach(() => node.flushall())
    afterAll(async () => {
      node.disconnect()
      await cluster[Symbol.asyncDispose]()
    })

    it.each([
      ['orders', ''],
      ['{shop}:orders', ''],
      ['orders:{shop}', ''],
      ['a{b', ''],
      ['orders', 'app:'],
      ['{shop}:orders', 'app:'],
      ['orders', '{app}:'],
      ['{shop}:orders', '{app}:'],
      ['größe', 'ä:'],
    ])('stream %j behind the prefix %j has all its keys in one slot', async (stream, prefix) => {
      const keys = streamKeys(stream, prefix)
      const all = [keys.stream, keys.fence('s}{o'), keys.seen('id#1')]
      const slots = await Promise.all(all.map((key) => node.cluster('KEYSLOT', prefix + key)))
      expect(new Set([...slots, slotOf(prefix + stream)]).size).toBe(1)
    })

    for (const library of libraries) {
      it(`one batch reaches streams in many slots, through ${library.name}`, async () => {
        const client = library.open(server.port)
        try {
          const publisher = redisPublisher({ client, stream: (entry) => `orders:${entry.aggregateId}` })
          const entries = Array.from({ length: 20 }, (_, n) => entriesOf(String(n), [1, 2])).flat()
          expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['published']))
          expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['duplicate']))
          expect(await arrivals(node, 'orders:7')).toEqual(['7/1', '7/2'])
          expect(await statuses(publisher, [dueEntry({ aggregateId: '7', epoch: 0 })])).toEqual(['published'])
        } finally {
          client.disconnect()
        }
      })

      it(`the check at start passes, and a key prefix works, through ${library.name}`, async () => {
        const client = library.open(server.port)
        client.options.keyPrefix = 'app:'
        try {
          const publisher = redisPublisher({ client, stream: '{shop}:orders' })
          expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([])
          expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
          expect(await node.xlen('app:{shop}:orders')).toBe(1)
        } finally {
          client.disconnect()
        }
      })

      it(`a client that waits on silent connections is a warning, through ${library.name}`, async () => {
        const client = library.open(server.port, {})
        try {
          expect(await redisPublisher({ client, stream: 'orders' }).check?.({ retryHorizonMs: 1 })).toEqual([
            expect.stringContaining('write `new Cluster([…], { redisOptions: { socketTimeout: 10000 } })`'),
          ])
        } finally {
          client.disconnect()
        }
      })

      it(`a client that puts scripts for several nodes into one pipeline is refused, through ${library.name}`, async () => {
        const [pipelining, exempting] = [
          library.open(server.port, { ...options, enableAutoPipelining: true }),
          library.open(server.port, {
            ...options,
            enableAutoPipelining: true,
            autoPipeliningIgnoredCommands: ['eval', 'evalsha'],
          }),
        ]
        try {
          await expect(
            redisPublisher({ client: pipelining, stream: 'orders' }).check?.({ retryHorizonMs: 1 }),
          ).rejects.toMatchObject({
            code: 'setup-required',
            message: expect.stringContaining("add autoPipeliningIgnoredCommands: ['eval', 'evalsha']"),
          })
          const publisher = redisPublisher({ client: exempting, stream: (entry) => `orders:${entry.aggregateId}` })
          expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([])
          const entries = Array.from({ length: 6 }, (_, n) => entriesOf(String(n), [1])).flat()
          expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['published']))
        } finally {
          pipelining.disconnect()
          exempting.disconnect()
        }
      })

      it(`slots that nobody serves lose nothing, and fail the probe, through ${library.name}`, async () => {
        const [client, other] = [library.open(server.port), library.open(server.port, asking)]
        try {
          const publisher = redisPublisher({ client, stream: 'orders' })
          await publish(publisher, entriesOf('1', [1]))
          await waitFor(() => other.status === 'ready', { what: 'the other client to connect' })
          await node.call('cluster', ['delslotsrange', '0', '16383'])
          await waitFor(async () => !(await isServed()), { what: 'the slots to be gone' })
          const entries = entriesOf('1', [2])
          // as a relay does: ioredis looks for the slot again and again
          const [outcome] = await publisher.publish(entries, { signal: AbortSignal.timeout(500) })
          expect(['unknown', 'unavailable']).toContain(outcome?.status)
          await expect(publisher.probe?.({ signal: AbortSignal.timeout(500) })).rejects.toThrow()
          const [told] = await publish(redisPublisher({ client: other, stream: 'orders' }), entries)
          expect(told?.status).toBe('unavailable')
          expect(messageOf(told)).toMatch(/CLUSTERDOWN/)

          await node.call('cluster', ['addslotsrange', '0', '16383'])
          await waitFor(
            async () => ['published', 'duplicate'].includes((await statuses(publisher, entries))[0] ?? ''),
            {
              what: 'the client to find the slot again',
            },
          )
          expect(await arrivals(node, 'orders')).toEqual(['1/1', '1/2'])
        } finally {
          client.disconnect()
          other.disconnect()
        }
      })
    }
  })
}
