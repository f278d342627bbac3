import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type ServiceName, services } from './catalogue.ts'
import { startMariadb } from './mariadb.ts'
import { startMongo } from './mongo.ts'
import { startMysql } from './mysql.ts'
import { startNats } from './nats.ts'
import type { OwnServer } from './own-server.ts'
import { startPgBouncer } from './pgbouncer.ts'
import { startPostgres } from './postgres.ts'
import { startRedis, startValkey } from './redis.ts'
import { socketVariable } from './shared.ts'
import { startWatchdog } from './watchdog.ts'

const starters = {
  postgres: startPostgres,
  pgbouncer: startPgBouncer,
  mysql: startMysql,
  mariadb: startMariadb,
  mongo: startMongo,
  redis: startRedis,
  valkey: startValkey,
  nats: startNats,
} satisfies Record<ServiceName, () => Promise<OwnServer>>

/**
 * Set-up of a vitest run: answers test files that ask for a shared server, starting it at the first request.
 *
 * @returns the tear-down, which ends all of them
 */
export default async function shareServers(): Promise<() => Promise<void>> {
  const started = new Map<ServiceName, Promise<OwnServer>>()
  const startOnce = (name: ServiceName): Promise<OwnServer> => {
    const running = started.get(name) ?? starters[name]()
    started.set(name, running)
    return running
  }
  const directory = await mkdtemp(join(tmpdir(), 'outbox-run-'))
  const watchdog = startWatchdog(directory)
  const socketPath = join(directory, 'servers')
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    void answer(socket, startOnce)
  })
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(socketPath, resolve)
  })
  listener.unref()
  process.env[socketVariable] = socketPath
  return async () => {
    listener.close()
    const results = await Promise.allSettled(started.values())
    // one that did not start has told the test that asked for it, and holds nothing
    const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    watchdog.release()
    await rm(directory, { recursive: true, force: true })
  }
}

async function answer(socket: Socket, startOnce: (name: ServiceName) => Promise<OwnServer>): Promise<void> {
  // a test process that died while it waited needs no answer
  socket.on('error', () => socket.destroy())
  try {
    const name = await text(socket)
    if (!isServiceName(name)) throw new Error(`there is no service named ${name}`)
    socket.end(JSON.stringify({ url: (await startOnce(name)).url }))
  } catch (error) {
    socket.end(JSON.stringify({ error: String(error) }))
  }
}

function isServiceName(name: string): name is ServiceName {
  return Object.hasOwn(services, name)
}
