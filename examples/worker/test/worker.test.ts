import { fileURLToPath } from 'node:url'
import { event } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import {
  describeWith,
  freePort,
  freshDatabase,
  type NodeChild,
  type OwnServer,
  spawnNode,
  startNats,
  startTcpProxy,
  waitFor,
} from '@outbox/services'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { connect } from 'nats'
import { Pool } from 'pg'
import { expect, it } from 'vitest'

const program = fileURLToPath(new URL('../src/worker.ts', import.meta.url))
const stream = 'shop'
/** what the worker allows itself, with room for a busy machine: less than the 30 s that a platform gives by default */
const endsWithinMs = 25_000

describeWith(['postgres', { own: 'nats' }], 'a worker that SIGTERM finds in trouble', () => {
  it('ends within its time while NATS is away', async () => {
    await using world = await openWorld()
    const port = await freePort()
    await using worker = startWorker(world.databaseUrl, world.nats.url, { PORT: `${port}` })
    await publishOne(world, worker)
    expect([await statusOf(port, '/live'), await statusOf(port, '/ready')]).toEqual([200, 200])

    await world.nats.kill()
    await enqueueOne(world)
    await waitFor(() => worker.output().includes('is away'), { what: 'the worker to notice' })
    expect([await statusOf(port, '/live'), await statusOf(port, '/ready')]).toEqual([200, 503])
    expect(await endOf(worker)).toEqual({ code: 0, signal: undefined })
  })

  it('ends within its time when its connections have gone silent', async () => {
    await using world = await openWorld()
    await using database = await startTcpProxy(world.databaseUrl)
    await using nats = await startTcpProxy(world.nats.url)
    await using worker = startWorker(database.through(world.databaseUrl), nats.through(world.nats.url))
    await publishOne(world, worker)

    database.blackHole()
    nats.blackHole()
    expect(await endOf(worker)).toEqual({ code: 0, signal: undefined })
  })
})

interface World extends AsyncDisposable {
  readonly databaseUrl: string
  readonly db: NodePgDatabase
  readonly outbox: PgOutbox
  readonly nats: OwnServer
}

async function openWorld(): Promise<World> {
  await using opening = new AsyncDisposableStack()
  const database = opening.use(await freshDatabase())
  const nats = opening.use(await startNats())
  const connection = await connect({ servers: nats.url })
  const manager = await connection.jetstreamManager()
  await manager.streams.add({ name: stream, subjects: [`${stream}.>`] })
  await connection.close()
  const pool = new Pool({ connectionString: database.url })
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  opening.defer(() => pool.end())
  const db = drizzle({ client: pool })
  await setup(db)
  const open = opening.move()
  return {
    databaseUrl: database.url,
    db,
    outbox: pgOutbox({ db }),
    nats,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

function startWorker(databaseUrl: string, natsUrl: string, more: Readonly<Record<string, string>> = {}): NodeChild {
  return spawnNode(program, [], { env: { DATABASE_URL: databaseUrl, NATS_URL: natsUrl, STREAM: stream, ...more } })
}

async function statusOf(port: number, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  await response.body?.cancel()
  return response.status
}

async function enqueueOne({ db, outbox }: World): Promise<void> {
  await db.transaction((tx) => outbox.enqueue(tx, event('basket.filled', { aggregateId: '1', payload: {} })))
}

/** Shows that the worker is at work. */
async function publishOne(world: World, worker: NodeChild): Promise<void> {
  await enqueueOne(world)
  await waitFor(async () => (await world.outbox.stats()).pending === 0, {
    what: `the worker to publish; it said: ${worker.output()}`,
  })
}

async function endOf(worker: NodeChild): Promise<unknown> {
  const inTime = AbortSignal.timeout(endsWithinMs)
  const end = worker.signal('SIGTERM')
  const late = new Promise<string>((resolve) => {
    inTime.addEventListener('abort', () => resolve(`alive ${endsWithinMs} ms after SIGTERM:\n${worker.output()}`))
  })
  return Promise.race([end, late])
}
