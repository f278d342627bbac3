import { disposeAll, startAll } from './fleet.ts'
import type { OwnServer } from './own-server.ts'
import { freePort } from './ports.ts'
import { askRedis, type StartRedisOptions, startRedis, startValkey } from './redis.ts'
import { waitFor } from './wait-for.ts'

const slots = 16_384
const formTimeoutMs = 60_000

export interface StartRedisClusterOptions extends StartRedisOptions {
  /** default `redis` */
  readonly server?: 'redis' | 'valkey'
  /** default 3, which is the fewest that can agree on a fail-over */
  readonly masters?: number
  /** how many of the masters have a replica, the first ones; default 0 */
  readonly replicas?: number
}

/** A cluster of the test's own, each node a server that may be killed, paused and started again. */
export interface RedisCluster extends AsyncDisposable {
  /** as they were at the start, in the order of their slots, which they share evenly */
  readonly masters: readonly OwnServer[]
  /** as they were at the start: the first follows the first master, and so on */
  readonly replicas: readonly OwnServer[]
}

/**
 * Starts the nodes of a cluster and makes them one; resolves when every node serves, and every replica has its
 * master's data.
 *
 * A node counts as failed after two seconds of silence, unless `config` says otherwise: soon for a test, and late
 * enough for a busy machine.
 */
export async function startRedisCluster(options: StartRedisClusterOptions = {}): Promise<RedisCluster> {
  const { server = 'redis', masters: masterCount = 3, replicas: replicaCount = 0, config, ...wanted } = options
  const start = server === 'redis' ? startRedis : startValkey
  const nodes = await startAll(masterCount + replicaCount, async () =>
    start({
      ...wanted,
      config: {
        'cluster-enabled': 'yes',
        // by default 10,000 above the other port, which may be above 65,535
        'cluster-port': String(await freePort()),
        'cluster-announce-ip': '127.0.0.1',
        'cluster-node-timeout': '2000',
        'repl-diskless-sync-delay': '0',
        ...config,
      },
    }),
  )
  const masters = nodes.slice(0, masterCount)
  const replicas = nodes.slice(masterCount)
  try {
    await join(nodes)
    await Promise.all(
      masters.map(({ port }, index) => order(port, `CLUSTER ADDSLOTSRANGE ${range(index, masterCount)}`)),
    )
    await follow(replicas, masters)
    await waitFor(async () => (await allSay(nodes, 'CLUSTER INFO', /cluster_state:ok/)) && areInSync(replicas), {
      what: 'the cluster to serve all its slots',
      timeoutMs: formTimeoutMs,
    })
  } catch (error) {
    await disposeAll(nodes)
    throw error
  }
  return { masters, replicas, [Symbol.asyncDispose]: () => disposeAll(nodes) }
}

/** The share of one of `count` masters, as `first last`. */
function range(index: number, count: number): string {
  const border = (n: number): number => Math.floor((n * slots) / count)
  return `${border(index)} ${border(index + 1) - 1}`
}

async function join(nodes: readonly OwnServer[]): Promise<void> {
  // epochs of their own from the start: nodes that have to agree on them afterwards take their time
  await Promise.all(nodes.map(({ port }, index) => order(port, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`)))
  // each with each: to wait for gossip takes seconds
  for (const [index, node] of nodes.entries()) {
    const bus = await busPort(node)
    for (const { port } of nodes.slice(index + 1)) await order(port, `CLUSTER MEET 127.0.0.1 ${node.port} ${bus}`)
  }
  await waitFor(() => allSay(nodes, 'CLUSTER INFO', new RegExp(`cluster_known_nodes:${nodes.length}\\r`)), {
    what: 'all nodes of the cluster to know each other',
    timeoutMs: formTimeoutMs,
  })
}

async function follow(replicas: readonly OwnServer[], masters: readonly OwnServer[]): Promise<void> {
  for (const [index, { port }] of replicas.entries()) {
    const master = masters[index]
    if (master === undefined) throw new Error(`there are ${replicas.length} replicas for ${masters.length} masters`)
    const id = /[0-9a-f]{40}/.exec(await askRedis(master.port, 'CLUSTER MYID'))?.[0]
    // it has to have heard of its master: nodes learn of each other by gossip
    await waitFor(async () => (await askRedis(port, `CLUSTER REPLICATE ${id}`)).startsWith('+OK'), {
      what: `the node on port ${port} to follow the one on port ${master.port}`,
      timeoutMs: formTimeoutMs,
    })
  }
}

const areInSync = (replicas: readonly OwnServer[]): Promise<boolean> =>
  allSay(replicas, 'INFO replication', /master_link_status:up/)

async function busPort({ port }: OwnServer): Promise<string> {
  const nodes = await askRedis(port, 'CLUSTER NODES')
  const found = /@(\d+)/.exec(nodes)?.[1]
  if (found === undefined) throw new Error(`the node on port ${port} does not tell its bus port: ${nodes}`)
  return found
}

async function allSay(nodes: readonly OwnServer[], command: string, pattern: RegExp): Promise<boolean> {
  const answers = await Promise.all(nodes.map(({ port }) => askRedis(port, command)))
  return answers.every((answer) => pattern.test(answer))
}

async function order(port: number, command: string): Promise<void> {
  const answer = await askRedis(port, command)
  if (!answer.startsWith('+OK')) throw new Error(`port ${port} answered ${command} with: ${answer}`)
}
