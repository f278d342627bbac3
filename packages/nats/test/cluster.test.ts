import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { describeWith, type NatsCluster, type OwnServer, startNatsCluster, waitFor } from '@outbox/services'
import { harm, startLoad } from '@outbox/services/under-load'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { batchId } from '../src/header-names.ts'
import { type NatsPublisherOptions, natsPublisher } from '../src/index.ts'
import {
  arrivals,
  batchingServer,
  clients,
  dueEntry,
  messageOf,
  type Observer,
  observe,
  publish,
  statuses,
  type TestConnection,
} from './support.ts'

// an election takes four to nine seconds: one version of the server stands for both
describeWith(batchingServer.need, `a cluster of three, ${batchingServer.name}`, () => {
  let cluster: NatsCluster
  let observer: Observer
  beforeAll(async () => {
    cluster = await startNatsCluster({ atLeast: batchingServer.need.atLeast })
    observer = await observe(cluster.urls)
  })
  afterAll(async () => {
    await observer[Symbol.asyncDispose]()
    await cluster[Symbol.asyncDispose]()
  })

  /** The server that leads a stream, and the others. */
  async function ranks(stream: string): Promise<{ readonly leader: OwnServer; readonly others: OwnServer[] }> {
    const { cluster: group } = await (await jetstreamManager(observer.connection)).streams.info(stream)
    const leader = cluster.named(group?.leader ?? '')
    return { leader, others: cluster.servers.filter((server) => server !== leader) }
  }
  /** A connection of each library, to the first of the servers that it is given. */
  const connectTo = (listFor: (library: number) => readonly OwnServer[]): Promise<readonly TestConnection[]> =>
    Promise.all(clients.map(({ connect }, library) => connect(listFor(library).map(({ url }) => url))))
  const closeAll = (connections: readonly TestConnection[]) =>
    Promise.all(connections.map((connection) => connection.close()))
  /** Whether any message on these subjects was stored as part of a batch. */
  async function hasBatches(stream: string, subjects: string): Promise<boolean> {
    const consumer = await jetstream(observer.connection).consumers.get(stream, { filter_subjects: subjects })
    for await (const { headers, info } of await consumer.consume()) {
      if (headers?.has(batchId)) return true
      if (info.pending === 0) break
    }
    return false
  }
  /** Whether JetStream answers, and knows this stream, which need not have a leader. */
  async function isKnown(stream: string): Promise<boolean> {
    try {
      const answer = await observer.connection.request('$JS.API.STREAM.NAMES', '', { timeout: 500 })
      return answer.string().includes(stream)
    } catch {
      return false // it elects a leader of its own
    }
  }

  it('a stream whose only server is away is an outage, though JetStream answers and knows it', async () => {
    const stream = await observer.addStream('single.>', { num_replicas: 1 })
    const { leader, others } = await ranks(stream)
    const connections = await connectTo(() => others)
    const publishers = connections.map((connection) =>
      natsPublisher({ connection, subject: 'single.{aggregateId}', ackTimeoutMs: 2_000 }),
    )
    const entry = (index: number) => dueEntry({ aggregateId: String(index) })
    const first = publishers.map((_, index) => entry(index))
    for (const [index, publisher] of publishers.entries()) {
      expect(await statuses(publisher, [first[index] ?? entry(index)])).toEqual(['published'])
    }
    await leader.kill()
    await waitFor(() => isKnown(stream), { what: 'JetStream to answer', timeoutMs: 120_000 })
    for (const [index, publisher] of publishers.entries()) {
      const [outcome] = await publish(publisher, [entry(index)])
      expect(outcome?.status).toBe('unavailable')
      expect(messageOf(outcome)).toContain('no stream takes subject')
      await expect(publisher.probe?.({})).rejects.toMatchObject({ code: 'unavailable' })
    }
    await leader.restart()
    await cluster.untilWhole()
    for (const [index, publisher] of publishers.entries()) {
      await waitFor(() => answers(publisher.probe?.({})), { what: 'the stream to be back', timeoutMs: 120_000 })
      expect(await statuses(publisher, [entry(index)])).toEqual(['published'])
    }
    expect((await arrivals(observer, stream)).toSorted()).toEqual(['0/1', '0/1', '1/1', '1/1'])
    await closeAll(connections)
  })

  /** Every way to publish to a stream that has one subject per aggregate. */
  const ways = (stream: string): readonly Partial<NatsPublisherOptions>[] => [
    {},
    { fence: 'subject' },
    { batch: 'atomic', stream },
  ]

  it('a leader that is killed, comes back, and one that steps down harm nothing: plain, fenced, in batches', async () => {
    const subjects = ['load-0.>', 'load-1.>', 'load-2.>']
    const stream = await observer.addStream(subjects, { num_replicas: 3, allow_atomic: true })
    const { leader, others } = await ranks(stream)
    // one loses its connection with the leader, one keeps its own
    const connections = await connectTo((library) => (library === 0 ? [leader, ...others] : others))
    const publishers = ways(stream).map((options, way) => ({ options, connection: connections[way % 2] }))
    await using load = await startLoad(publishers, ({ options, connection }, base) => {
      if (!connection) throw new Error('there is no connection')
      return natsPublisher({ ...options, connection, subject: `${base}.{aggregateType}.{aggregateId}` })
    })
    await load.progress(100)
    await leader.kill()
    await load.progress(100)
    await leader.restart()
    const stepDown = await observer.connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`)
    expect(stepDown.json()).toMatchObject({ success: true })
    await load.progress(100)
    const reports = await load.finish((base) => observer.read(stream, `${base}.>`))
    for (const report of reports) expect(harm(report)).toEqual([])
    expect(load.outages.every((count) => count > 0)).toBe(true)
    const areInBatches = await Promise.all(subjects.map((each) => hasBatches(stream, each)))
    expect(areInBatches).toEqual([false, false, true])
    await closeAll(connections)
  })
})

async function answers(probe: Promise<void> | undefined): Promise<boolean> {
  try {
    await probe
    return true
  } catch {
    return false // not yet
  }
}
