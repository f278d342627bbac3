import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { disposeAll, startAll } from './fleet.ts'
import { versionOf, type Wanted } from './installed.ts'
import { launch, type OwnServer } from './own-server.ts'
import { programOf } from './program-of.ts'
import { askRedis, type StartRedisOptions, startRedis, startValkey } from './redis.ts'
import { waitFor } from './wait-for.ts'

const sentinelCount = 3
const formTimeoutMs = 60_000

export interface StartRedisSentinelOptions extends StartRedisOptions {
  /** default `redis` */
  readonly server?: 'redis' | 'valkey'
  /** default 1 */
  readonly replicas?: number
}

/** A primary, its replicas and three sentinels of the test's own. */
export interface RedisSentinel extends AsyncDisposable {
  /** what the sentinels call the primary */
  readonly name: string
  /** as it was at the start */
  readonly primary: OwnServer
  /** as they were at the start */
  readonly replicas: readonly OwnServer[]
  readonly sentinels: readonly OwnServer[]
}

/**
 * Starts a primary with replicas and three sentinels that watch it; resolves when the replicas have its data, and
 * every sentinel knows them and the other sentinels: from then on a fail-over can be agreed on.
 *
 * The primary counts as down after two seconds of silence.
 */
export async function startRedisSentinel(options: StartRedisSentinelOptions = {}): Promise<RedisSentinel> {
  const { server = 'redis', replicas: replicaCount = 1, config, ...wanted } = options
  const start = server === 'redis' ? startRedis : startValkey
  const settings = { 'repl-diskless-sync-delay': '0', ...config }
  const primary = await start({ ...wanted, config: settings })
  const servers: OwnServer[] = [primary]
  try {
    const replicas = await startAll(replicaCount, () => start({ ...wanted, config: settings }))
    servers.push(...replicas)
    await Promise.all(replicas.map(({ port }) => askRedis(port, `REPLICAOF 127.0.0.1 ${primary.port}`)))
    await allSay(replicas, 'INFO replication', /master_link_status:up/, 'the replicas to have the data')
    const sentinels = await startAll(sentinelCount, () => startSentinel(server, primary.port, wanted))
    servers.push(...sentinels)
    await Promise.all(sentinels.map(({ port }) => askRedis(port, hurry)))
    const quorum = new RegExp(`OK ${sentinelCount} usable`)
    await allSay(sentinels, `SENTINEL CKQUORUM ${primaryName}`, quorum, 'the sentinels to know each other')
    const known = new RegExp(`num-slaves\\r\\n\\$\\d+\\r\\n${replicaCount}\\r\\n`)
    await allSay(sentinels, `SENTINEL MASTER ${primaryName}`, known, 'the sentinels to know the replicas')
    return {
      name: primaryName,
      primary,
      replicas,
      sentinels,
      [Symbol.asyncDispose]: () => disposeAll(servers),
    }
  } catch (error) {
    await disposeAll(servers)
    throw error
  }
}

const primaryName = 'primary'
/** Sentinels look around every ten seconds, and leave a primary that came back alone for eight: too long for a test. */
const hurry = 'SENTINEL DEBUG INFO-PERIOD 500 PUBLISH-PERIOD 250'

function startSentinel(server: 'redis' | 'valkey', primaryPort: number, wanted: Wanted): Promise<OwnServer> {
  const program = programOf(server, wanted)
  const settings = [
    `sentinel monitor ${primaryName} 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${primaryName} 2000`,
    `sentinel failover-timeout ${primaryName} 10000`,
  ]
  return launch({
    title: 'Sentinel',
    version: versionOf(program),
    program,
    // a file, which it keeps up to date with what it learns
    prepare: (directory) => writeFile(join(directory, 'sentinel.conf'), `${settings.join('\n')}\n`),
    programArguments: (port, directory) => [
      ...[join(directory, 'sentinel.conf'), '--sentinel'],
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
    ],
    url: (port) => `redis://127.0.0.1:${port}`,
    answers: async (port) => (await askRedis(port, 'PING')).startsWith('+PONG'),
    stopSignal: 'SIGTERM',
  })
}

async function allSay(servers: readonly OwnServer[], command: string, pattern: RegExp, what: string): Promise<void> {
  await waitFor(
    async () => {
      const answers = await Promise.all(servers.map(({ port }) => askRedis(port, command)))
      return answers.every((answer) => pattern.test(answer))
    },
    { what, timeoutMs: formTimeoutMs },
  )
}
