import { describeWith, type RedisCluster, startRedisCluster, waitFor } from '@outbox/services'
import { harm, startLoad } from '@outbox/services/under-load'
import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis-5'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { slotOf } from '../src/cluster-slots.ts'
import { failureFromCommand } from '../src/errors.ts'
import { redisPublisher } from '../src/index.ts'
import { type ClusterNode, nodesOf, serves, slotMove } from './slots.ts'
import {
  arrivals,
  connect,
  entriesOf,
  errorOf,
  messageOf,
  publish,
  read,
  servers,
  statuses,
  statusOf,
} from './support.ts'

const acknowledge = { replicas: 1, timeoutMs: 1_000 }

// a cluster costs five processes and some seconds: the others have one node each, in cluster.test.ts
for (const { name, need } of servers.slice(0, 1)) {
  describeWith(need, `a cluster of several nodes, ${name}`, () => {
    let cluster: RedisCluster
    let nodes: readonly ClusterNode[]
    /** one of each library */
    let clients: readonly (Cluster | Cluster5)[]
    /** on the first master, which has a replica, as the second has */
    let tag: string
    beforeAll(async () => {
      const { own: server, version = 'newest' } = need
      cluster = await startRedisCluster({ server, version, replicas: 2 })
      nodes = await nodesOf(cluster)
      const addresses = cluster.masters.map(({ host, port }) => ({ host, port }))
      clients = [new Cluster(addresses), new Cluster5(addresses)]
      for (const client of clients) client.on('error', () => undefined)
      tag = await tagOn(nodes[0])
    })
    beforeEach(async () => {
      for (const node of nodes) await node.client.flushall()
    })
    afterAll(async () => {
      for (const client of [...clients, ...nodes.map((node) => node.client)]) client.disconnect()
      await cluster[Symbol.asyncDispose]()
    })

    const each = () => clients.map((client, index) => ({ client, stream: `{${tag}}:${index}` }))

    it('one batch reaches the streams of every master, each on its own node', async () => {
      for (const { client } of each()) {
        for (const node of nodes) await node.client.flushall()
        const publisher = redisPublisher({ client, stream: ({ aggregateId }) => `orders:${aggregateId}` })
        const entries = Array.from({ length: 12 }, (_, n) => entriesOf(String(n), [1, 2])).flat()
        expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['published']))
        expect(new Set(await statuses(publisher, entries))).toEqual(new Set(['duplicate']))
        const counts = await Promise.all(nodes.map(async (node) => (await node.client.keys('orders:*')).length))
        expect(counts.reduce((sum, count) => sum + count)).toBe(12)
        expect(Math.min(...counts)).toBeGreaterThan(0)
      }
    })

    // before any slot has moved: for a stream whose node a client has to learn there is a second script, and a second wait
    it('streams of one node share one wait for replicas; nodes wait side by side', async () => {
      const withReplica = nodes.slice(0, 2)
      const tags = (await Promise.all(withReplica.map((node) => tagsOn(node, 4)))).flat()
      for (const { client } of each()) {
        const publisher = redisPublisher({ client, stream: (entry) => `{${entry.aggregateId}}`, acknowledge })
        const batch = (sequence: number) => tags.flatMap((each) => entriesOf(each, [sequence]))
        expect(new Set(await statuses(publisher, batch(1)))).toEqual(new Set(['published']))
        for (const node of withReplica) await node.client.call('config', ['resetstat'])
        expect(new Set(await statuses(publisher, batch(2)))).toEqual(new Set(['published']))
        for (const node of withReplica) expect(await node.client.info('commandstats')).toMatch(/cmdstat_wait:calls=1,/)
        for (const node of nodes) await node.client.flushall()
      }
    })

    it('a slot on the move takes nothing new, knows what it has, and fails the probe; then all goes on', async () => {
      await using move = await slotMove(`{${tag}}`, nodes)
      const publishers = each().map((options) => redisPublisher(options))
      const [first, second] = [entriesOf('1', [1]), entriesOf('1', [2])]
      for (const publisher of publishers) expect(await statuses(publisher, first)).toEqual(['published'])
      await move.begin()
      await move.moveKeys()
      for (const publisher of publishers) {
        // ASK leads to the new node, which has all keys of this one
        expect(await statuses(publisher, first)).toEqual(['duplicate'])
        const [outcome] = await publish(publisher, second)
        expect(outcome?.status).toBe('unknown')
        expect(messageOf(outcome)).toMatch(/TRYAGAIN|ASK|MOVED/)
        await expect(publisher.probe?.({})).rejects.toMatchObject({ code: 'unavailable' })
      }
      await move.end()
      for (const publisher of publishers) {
        await publisher.probe?.({})
        expect(await statuses(publisher, second)).toEqual(['published'])
      }
      for (const { stream } of each()) expect(await arrivals(move.to.client, stream)).toEqual(['1/1', '1/2'])
    })

    it('a slot that moves under load loses, repeats and reorders nothing, and costs no attempt', async () => {
      await using move = await slotMove(`{${tag}}`, nodes)
      await using load = await startLoad(clients, (client, name) =>
        redisPublisher({ client, stream: `{${tag}}:${name}` }),
      )
      await load.progress(100)
      await move.begin()
      await move.moveKeys()
      await waitFor(() => load.outages.every((count) => count > 0), {
        what: 'the relays to find that the slot is on the move',
      })
      await move.end()
      await load.progress(100)
      const reports = await load.finish((name) => read(move.to.client, `{${tag}}:${name}`))
      for (const report of reports) expect(harm(report)).toEqual([])
    })

    it('a stream that has moved is found again by a publisher that waits for replicas', async () => {
      await using move = await slotMove(`{${tag}}`, nodes)
      const publishers = each().map((options) => redisPublisher({ ...options, acknowledge }))
      for (const publisher of publishers) expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
      await move.begin()
      await move.moveKeys()
      await move.end()
      for (const publisher of publishers) expect(await statuses(publisher, entriesOf('1', [2]))).toEqual(['published'])
      for (const { stream } of each()) expect(await arrivals(move.to.client, stream)).toEqual(['1/1', '1/2'])
    })

    it('a client that takes streams of two nodes for those of one sends them all the same', async () => {
      const [here, there] = [await tagOn(nodes[0]), await tagOn(nodes[1])]
      for (const { client } of each()) {
        const publisher = redisPublisher({ client, stream: (entry) => `{${entry.aggregateId}}`, acknowledge })
        // as ioredis does itself, until it has asked for all slots anew
        client.slots[slotOf(there)] = [...(client.slots[slotOf(here)] ?? [])]
        const outcomes = await statuses(
          publisher,
          [here, there].flatMap((each) => entriesOf(each, [1])),
        )
        expect(outcomes).toEqual(['published', 'published'])
        for (const node of nodes) await node.client.flushall()
      }
    })

    it('a stream that has moved is asked for at a master, which knows, also by a client that reads from replicas', async () => {
      await using move = await slotMove(`{${tag}}`, nodes)
      const [{ url, port } = { url: '', port: 0 }] = cluster.replicas
      using replica = connect(url)
      const knowsReplica = async ({ client }: ClusterNode) =>
        JSON.stringify(await client.cluster('SLOTS')).includes(String(port))
      await waitFor(async () => (await Promise.all(nodes.map(knowsReplica))).every(Boolean), {
        what: 'all nodes to know the replica',
      })
      const addresses = cluster.masters.map(({ host, port }) => ({ host, port }))
      const reading = { scaleReads: 'slave' } as const
      const readers = [new Cluster(addresses, reading), new Cluster5(addresses, reading)]
      try {
        const publishers = readers.map((client, index) =>
          redisPublisher({ client, stream: `{${tag}}:${index}`, acknowledge }),
        )
        for (const publisher of publishers) {
          expect(await statuses(publisher, entriesOf('1', [1]))).toEqual(['published'])
        }
        await move.begin()
        await move.moveKeys()
        await move.end()
        await replica.call('config', ['resetstat'])
        for (const publisher of publishers) {
          expect(await statuses(publisher, entriesOf('1', [2]))).toEqual(['published'])
        }
        expect(await replica.info('commandstats')).not.toMatch(/cmdstat_(?:exists|eval)/)
      } finally {
        for (const client of readers) client.disconnect()
      }
    })

    it('a client that knows one node only is told so at start; its entries wait', async () => {
      using single = connect(cluster.masters[1]?.url ?? '')
      const stream = `{${tag}}:orders`
      const publisher = redisPublisher({ client: single, stream })
      expect(await errorOf(Promise.resolve(publisher.check?.({ retryHorizonMs: 1 })))).toMatchObject({
        code: 'setup-required',
        message: expect.stringMatching(/one of its nodes.*Write `new Cluster\(\[…\]\)`/),
      })
      const [outcome] = await publish(publisher, entriesOf('1', [1]))
      expect(outcome?.status).toBe('unavailable')
      expect(messageOf(outcome)).toMatch(/MOVED .*the client is not one of the whole cluster/)
      const byFunction = redisPublisher({ client: single, stream: () => stream })
      expect(await byFunction.check?.({ retryHorizonMs: 1 })).toContainEqual(
        expect.stringMatching(/the client is not: .* write `new Cluster/),
      )
    })

    it('keys of two slots in one call, which no stream name makes, would be a clear error', async () => {
      for (const { client } of each()) {
        const failure = failureFromCommand(await errorOf(client.call('eval', ['return 1', 2, 'a', 'b'])), 'redis')
        expect(failure.status).toBe('retry')
        expect(messageOf(failure)).toMatch(/CROSSSLOT.*does not know \{tags\}/)
      }
    })

    it('while one master is away, the probe asks about its streams and not about those of others', async () => {
      const [absent, present] = [await tagOn(nodes[2]), await tagOn(nodes[1])]
      const entries = [...entriesOf(absent, [1]), ...entriesOf(present, [1])]
      for (const [index, client] of clients.entries()) {
        const publisher = redisPublisher({ client, stream: ({ aggregateId }) => `{${aggregateId}}:${index}` })
        cluster.masters[2]?.pause()
        const outcomes = await publisher.publish(entries, { signal: AbortSignal.timeout(2_000) })
        expect(outcomes.map(statusOf)).toEqual(['unknown', 'published'])
        await expect(publisher.probe?.({ signal: AbortSignal.timeout(300) })).rejects.toThrow()
        cluster.masters[2]?.continue()
        await waitFor(async () => !(await statuses(publisher, entries)).includes('unknown'), {
          what: 'the master to be back',
        })
        await publisher.probe?.({})
      }
    })

    it('a master that is killed under load loses nothing that its replica had acknowledged, and costs no attempt', async () => {
      const [master] = cluster.masters
      const [replica] = cluster.replicas
      if (!master || !replica) throw new Error('the cluster has no replica')
      await using load = await startLoad(clients, (client, name) =>
        redisPublisher({ client, stream: `{${tag}}:${name}`, acknowledge }),
      )
      await load.progress(100)
      await master.kill()
      using promoted = connect(replica.url)
      await waitFor(async () => /role:master/.test(await promoted.info('replication')), {
        what: 'the replica to be promoted',
        timeoutMs: 120_000,
      })
      // as the replica of what replaced it, so that there is somebody to acknowledge again
      await master.restart()
      await load.progress(100)
      const reports = await load.finish((name) => read(promoted, `{${tag}}:${name}`))
      for (const report of reports) expect(harm(report)).toEqual([])
    })

    async function tagsOn(node: ClusterNode, count: number): Promise<readonly string[]> {
      const found: string[] = []
      for (let candidate = 0; found.length < count; candidate++) {
        if (await serves(node, `{${candidate}}`)) found.push(String(candidate))
      }
      return found
    }

    /** a hash tag that puts a key on this node */
    async function tagOn(node: ClusterNode | undefined): Promise<string> {
      const [found] = node ? await tagsOn(node, 1) : []
      if (found === undefined) throw new Error('the cluster has fewer nodes')
      return found
    }
  })
}
