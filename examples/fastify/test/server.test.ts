import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { setup } from '@outbox/drizzle/pg'
import { outboxLeases } from '@outbox/drizzle/pg/schema'
import { describeWith, freshDatabase, sharedRedis, spawnNode, waitFor } from '@outbox/services'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { expect, it } from 'vitest'
import { createTables } from '../src/orders.ts'

const program = fileURLToPath(new URL('../src/server.ts', import.meta.url))

const beginning = [
  'POST /orders HTTP/1.1',
  'host: localhost',
  'content-type: application/json',
  'content-length: 100',
  'expect: 100-continue',
  '\r\n',
].join('\r\n')

describeWith(['postgres', 'redis'], 'a server that SIGTERM finds in the middle of a request', () => {
  it('hands its partitions over and ends, though the request never gets whole', async () => {
    await using resources = new AsyncDisposableStack()
    const database = resources.use(await freshDatabase())
    const pool = new Pool({ connectionString: database.url })
    pool.on('error', () => {})
    resources.defer(() => pool.end())
    const db = drizzle({ client: pool })
    await setup(db)
    await createTables(db)
    const held = (): Promise<number> => db.$count(outboxLeases, sql`holder is not null`)

    const env = { DATABASE_URL: database.url, REDIS_URL: await sharedRedis(), STREAM: `orders:${randomUUID()}` }
    const server = resources.use(spawnNode(program, [], { env }))
    const port = await waitFor(() => /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(server.output())?.[1], {
      what: 'the server to listen',
    })
    await waitFor(async () => (await held()) === 64, { what: 'the relay to hold all partitions' })

    const client = connect(Number(port), '127.0.0.1')
    resources.defer(() => void client.destroy())
    client.on('error', () => {})
    await once(client, 'connect')
    client.write(`${beginning}{"article":`)
    await once(client, 'data') // the server has seen it: `100 Continue`

    expect(await Promise.race([server.signal('SIGTERM'), afterMs(20_000)])).toEqual({ code: 0, signal: undefined })
    expect(await held()).toBe(0)
  })
})

async function afterMs(ms: number): Promise<string> {
  await once(AbortSignal.timeout(ms), 'abort')
  return `still alive after ${ms} ms`
}
