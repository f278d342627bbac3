import { disposeAll, startAll } from './fleet.ts'
import { type StartNatsOptions, startNats } from './nats.ts'
import type { OwnServer } from './own-server.ts'
import { freePort } from './ports.ts'
import { waitFor } from './wait-for.ts'

const formTimeoutMs = 60_000

/** A cluster of three servers of the test's own, with JetStream. */
export interface NatsCluster extends AsyncDisposable {
  readonly servers: readonly OwnServer[]
  /** the URLs of all servers, for a client */
  readonly urls: readonly string[]
  /** The server of this name, which is how JetStream calls a leader. */
  named(name: string): OwnServer
  /** Resolves when JetStream has a leader that all servers follow, and that places streams on any of them. */
  untilWhole(): Promise<void>
}

/** Starts three servers and makes them one cluster; resolves when it is whole. */
export async function startNatsCluster({ config = '', ...wanted }: StartNatsOptions = {}): Promise<NatsCluster> {
  const names = ['one', 'two', 'three']
  const routePorts = await Promise.all(names.map(() => freePort()))
  const monitorPorts = await Promise.all(names.map(() => freePort()))
  const routes = routePorts.map((port) => `nats://127.0.0.1:${port}`).join(', ')
  const servers = await startAll(names.length, (index) =>
    startNats({
      ...wanted,
      config: [
        `server_name: ${names[index]}`,
        `http: 127.0.0.1:${monitorPorts[index]}`,
        `cluster { name: test, listen: 127.0.0.1:${routePorts[index]}, routes: [${routes}] }`,
        config,
      ].join('\n'),
    }),
  )
  const untilWhole = async (): Promise<void> => {
    await waitFor(async () => (await Promise.all(monitorPorts.map(isHealthy))).every(Boolean) && isLed(monitorPorts), {
      what: 'JetStream to have a leader that all servers follow',
      timeoutMs: formTimeoutMs,
    })
  }
  try {
    await untilWhole()
  } catch (error) {
    await disposeAll(servers)
    throw error
  }
  return {
    servers,
    urls: servers.map(({ url }) => url),
    named(name) {
      const server = servers[names.indexOf(name)]
      if (server === undefined) throw new Error(`there is no server '${name}', only ${names.join(', ')}`)
      return server
    },
    untilWhole,
    [Symbol.asyncDispose]: () => disposeAll(servers),
  }
}

/** Whether a server's part of JetStream is in order, as it says itself. */
async function isHealthy(monitorPort: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${monitorPort}/healthz`)
  await response.arrayBuffer()
  return response.ok
}

/** The part of a server's report on JetStream that tells of the cluster. */
interface JetStreamReport {
  readonly meta_cluster?: {
    /** the others, as the leader sees them; nobody else tells of them */
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[]
  }
}

/** Whether one of the servers leads all the others and takes none for absent, which it goes on doing after a restart. */
async function isLed(monitorPorts: readonly number[]): Promise<boolean> {
  const reports = await Promise.all(
    monitorPorts.map(async (port): Promise<JetStreamReport> => {
      const response = await fetch(`http://127.0.0.1:${port}/jsz`)
      return (await response.json()) as JetStreamReport
    }),
  )
  return reports.some(({ meta_cluster: group }) => {
    const present = group?.replicas?.filter(({ current, offline }) => current && offline !== true)
    return present?.length === monitorPorts.length - 1
  })
}
