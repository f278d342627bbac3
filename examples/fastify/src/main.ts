import { once } from 'node:events'
import { connect } from 'node:net'
import { pgOutbox } from '@outbox/drizzle/pg'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { countOrders, type WantedOrder } from './orders.ts'
import { ServerProcess } from './server-process.ts'
import { openServers } from './servers.ts'

await using servers = await openServers()
const { db, redis, stream, environment } = servers
using server = new ServerProcess(environment)
const url = await server.next('listening on ')

console.log(`an order: ${await post({ article: 'lamp', cents: 4_200 })}`)
console.log(`an order that cannot be: ${await post({ article: 'lamp', cents: -1 })}`)

console.log('SIGTERM, while a request is under way')
const underWay = post({ article: 'vase', cents: 1_999 })
await server.next('asking for vase')
server.stop()
console.log(`  the request is answered: ${await underWay}`)
console.log(`  a new one: ${await tryToConnect(new URL(url))}`)
console.log(`  exit code ${await server.exitCode()}`)

// what the last request committed is in the stream, or waits for the next relay
const outbox = pgOutbox({ db })
const { pending } = await outbox.stats()
console.log(`orders ${await countOrders(db)}, events ${(await redis.xlen(stream)) + pending}`)
await createRelay({ store: outbox, publisher: redisPublisher({ client: redis, stream }) }).tick()
console.log(`the next relay has published: in the stream ${await redis.xlen(stream)}`)

async function post(order: WantedOrder): Promise<string> {
  const response = await fetch(new URL('/orders', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify(order),
  })
  return `${response.status} ${response.statusText}`
}

/** Tries until it is turned away, which it is from the moment that the server has seen the signal. */
async function tryToConnect({ hostname, port }: URL): Promise<string> {
  for (;;) {
    const socket = connect({ host: hostname, port: Number(port) })
    try {
      await once(socket, 'connect')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return 'connection refused'
      throw error
    } finally {
      socket.destroy()
    }
  }
}
