import { describeWith, freePort, type OwnServer, waitFor } from '@outbox/services'
import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis-5'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import { streamKeys } from '../src/keys.ts'
import { arrivals, connect, dueEntry, entriesOf, publish, servers, statuses } from './support.ts'

// looks for moved slots often, so that tests need not wait five seconds
const options = { slotsRefreshInterval: 100 }
const libraries = [
  { name: 'ioredis 6', open: (port: number) => new Cluster([{ host: '127.0.0.1', port }], options) },
  { name: 'ioredis 5', open: (port: number) => new Cluster5([{ host: '127.0.0.1', port }], options) },
]

for (const { name, need, start } of servers) {
  describeWith(need, `a cluster of ${name}`, () => {
    let server: OwnServer
    let node: ReturnType<typeof connect>
    const isServed = async (): Promise<boolean> => /cluster_state:ok/.test(String(await node.cluster('INFO')))
    beforeAll(async () => {
      server = await start({
        'cluster-enabled': 'yes',
        // by default 10,000 above the other port, which may be above 65,535
        'cluster-port': String(await freePort()),
        'cluster-announce-ip': '127.0.0.1',
        // half a second, not five, until slots that come back are served
        'cluster-node-timeout': '500',
        appendonly: 'yes',
      })
      node = connect(server.url)
      await node.call('cluster', ['addslotsrange', '0', '16383'])
      await waitFor(isServed, { what: 'the cluster to serve its slots' })
    })
    beforeEach(() => node.flushall())
    afterAll(async () => {
      node.disconnect()
      await server[Symbol.asyncDispose]()
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
      const all = [keys.stream, keys.fence('s}{o'), keys.seen('id#1'), keys.probe]
      const slots = await Promise.all(all.map((key) => node.cluster('KEYSLOT', prefix + key)))
      expect(new Set(slots).size).toBe(1)
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

      if (need.version === undefined) {
        it(`an acknowledgement comes from the node that has the stream, through ${library.name}`, async () => {
          const client = library.open(server.port)
          try {
            const publisher = redisPublisher({
              client,
              stream: 'orders',
              acknowledge: { fsync: 'local', timeoutMs: 5_000 },
            })
            expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
          } finally {
            client.disconnect()
          }
        })
      }

      it(`slots that nobody serves lose nothing, and fail the probe, through ${library.name}`, async () => {
        const client = library.open(server.port)
        try {
          const publisher = redisPublisher({ client, stream: 'orders' })
          await publish(publisher, entriesOf('1', [1]))
          await node.call('cluster', ['delslotsrange', '0', '16383'])
          await waitFor(async () => !(await isServed()), { what: 'the slots to be gone' })
          const entries = entriesOf('1', [2])
          // as a relay does: ioredis looks for the slot again and again
          const [outcome] = await publisher.publish(entries, { signal: AbortSignal.timeout(500) })
          expect(['unknown', 'unavailable']).toContain(outcome?.status)
          await expect(publisher.probe?.({ signal: AbortSignal.timeout(500) })).rejects.toThrow()
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
        }
      })
    }
  })
}
