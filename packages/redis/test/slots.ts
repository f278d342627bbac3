import type { OwnServer, RedisCluster } from '@outbox/services'
import { connect } from './support.ts'

/** One node of a cluster, over a connection of its own that follows no redirection. */
export interface ClusterNode {
  readonly server: OwnServer
  readonly client: ReturnType<typeof connect>
  readonly id: string
}

/** The masters of a cluster as they were at its start. */
export async function nodesOf({ masters }: RedisCluster): Promise<readonly ClusterNode[]> {
  return Promise.all(
    masters.map(async (server) => {
      const client = connect(server.url)
      return { server, client, id: String(await client.cluster('MYID')) }
    }),
  )
}

/** Whether a node serves a key. */
export async function serves({ client }: ClusterNode, key: string): Promise<boolean> {
  try {
    await client.exists(key)
    return true
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('MOVED')) return false
    throw error
  }
}

/** A key's slot on its way from one node to another, in the steps of `redis-cli --cluster reshard`. */
export interface SlotMove extends AsyncDisposable {
  readonly from: ClusterNode
  readonly to: ClusterNode
  /** from now on the slot is with two nodes */
  begin(): Promise<void>
  /** moves the keys that are there, and those that come meanwhile */
  moveKeys(): Promise<void>
  /** the new owner first, so that the slot is never nobody's */
  end(): Promise<void>
}

/** A move that is yet to begin; disposing throws the data away and brings the slot home. */
export async function slotMove(key: string, nodes: readonly ClusterNode[]): Promise<SlotMove> {
  const slot = Number(await nodes[0]?.client.cluster('KEYSLOT', key))
  const owned = await Promise.all(nodes.map((node) => serves(node, key)))
  const from = nodes.find((_, index) => owned[index])
  const to = nodes.find((_, index) => !owned[index])
  if (!from || !to) throw new Error(`of ${nodes.length} nodes, none serves '${key}', or all do`)
  let owner = from
  const begin = async (source: ClusterNode, target: ClusterNode): Promise<void> => {
    await target.client.call('cluster', ['setslot', slot, 'importing', source.id])
    await source.client.call('cluster', ['setslot', slot, 'migrating', target.id])
  }
  // to an owner that imports, and to it first: then its claim is newer than all that is on its way
  const give = async (target: ClusterNode): Promise<void> => {
    const others = nodes.filter((node) => node !== target)
    for (const { client } of [target, ...others]) await client.call('cluster', ['setslot', slot, 'node', target.id])
    owner = target
  }
  return {
    from,
    to,
    begin: () => begin(from, to),
    async moveKeys() {
      for (;;) {
        const keys = await from.client.cluster('GETKEYSINSLOT', slot, 100)
        if (keys.length === 0) return
        const { host, port } = to.server
        await from.client.call('migrate', [host, port, '', 0, 10_000, 'keys', ...keys.map(String)])
      }
    },
    end: () => give(to),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map(({ client }) => client.flushall()))
      if (owner === to) await begin(to, from)
      await give(from)
    },
  }
}
