import { randomUUID } from 'node:crypto'
import {
  describeWith,
  freePort,
  isAvailable,
  type OwnServer,
  type StartNatsOptions,
  startNats,
  waitFor,
} from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { natsPublisher } from '../src/index.ts'
import {
  batchingServer,
  clients,
  dueEntry,
  type Observer,
  observe,
  servers,
  statuses,
  type TestConnection,
} from './support.ts'

const apiPrefix = '$JS.hub.API'

for (const { name, need, start } of servers) {
  describeWith(need, `two domains, a hub and a leaf, with streams for the same subjects, ${name}`, () => {
    let pair: Awaited<ReturnType<typeof startPair>>
    let connections: readonly TestConnection[]
    let base: string
    beforeAll(async () => {
      pair = await startPair(start, start)
      connections = await Promise.all(clients.map(({ connect }) => connect(pair.leaf.url)))
    })
    beforeEach(() => {
      base = `t${randomUUID()}`
    })
    afterAll(async () => {
      for (const connection of connections) await connection.close()
      await pair[Symbol.asyncDispose]()
    })

    for (const fence of ['none', 'subject'] as const) {
      it(`what the leaf's stream stores is not published to the hub, fence: '${fence}'`, async () => {
        const stream = await pair.atHub.addStream(`${base}.>`, { max_msgs: 1, discard: 'new' })
        await pair.atLeaf.addStream(`${base}.>`)
        const subject = `${base}.{aggregateId}`
        for (const [index, connection] of connections.entries()) {
          await using publisher = natsPublisher({ connection, subject, apiPrefix, fence })
          const expected = index === 0 ? ['published'] : ['unavailable']
          expect(await statuses(publisher, [dueEntry({ aggregateId: String(index) })])).toEqual(expected)
        }
        expect(await pair.atHub.count(stream)).toBe(1)
      })
    }

    it("that the leaf's stream is not the one named keeps nothing from the hub's", async () => {
      const stream = await pair.atHub.addStream(`${base}.>`)
      await pair.atLeaf.addStream(`${base}.>`)
      for (const connection of connections) {
        await using publisher = natsPublisher({ connection, subject: `${base}.{aggregateId}`, apiPrefix, stream })
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
      }
      expect(await pair.atHub.count(stream)).toBe(2)
    })
  })
}

describeWith(batchingServer.need, 'batches for a hub, by way of a leaf that is older than batches', () => {
  it('are judged by the stream of the hub', async ({ skip }) => {
    if (!isAvailable({ own: 'nats', version: 'distribution' })) skip('there is no older server')
    await using pair = await startPair(batchingServer.start, (options) =>
      startNats({ ...options, version: 'distribution' }),
    )
    const { atHub, leaf } = pair
    for (const { connect } of clients) {
      const connection = await connect(leaf.url)
      const base = `t${randomUUID()}`
      const stream = await atHub.addStream(`${base}.>`, { allow_atomic: true })
      const subject = `${base}.{aggregateId}`
      await using publisher = natsPublisher({ connection, subject, apiPrefix, stream, batch: 'atomic' })
      expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([])
      const asked = connection.stats().inMsgs
      const entries = [1, 2, 3].map((sequence) => dueEntry({ sequence }))
      expect(await statuses(publisher, entries)).toEqual(['published', 'published', 'published'])
      expect(connection.stats().inMsgs - asked).toBe(1)
      await connection.close()
    }
  })
})

type Start = (options: StartNatsOptions) => Promise<OwnServer>

/** A hub, and a leaf that reaches it, each a domain of its own. */
async function startPair(startHub: Start, startLeaf: Start) {
  const port = await freePort()
  const hub = await startHub({ config: `jetstream { domain: hub }\nleafnodes { listen: 127.0.0.1:${port} }` })
  const remote = `{ url: "nats-leaf://127.0.0.1:${port}" }`
  const leaf = await startLeaf({ config: `jetstream { domain: leaf }\nleafnodes { remotes: [${remote}] }` })
  const [atHub, atLeaf] = [await observe(hub.url), await observe(leaf.url)]
  await waitFor(() => isReached(atLeaf, `${apiPrefix}.INFO`), { what: 'the leaf to reach the hub' })
  return {
    ...{ leaf, atHub, atLeaf },
    async [Symbol.asyncDispose]() {
      for (const each of [atHub, atLeaf, leaf, hub]) await each[Symbol.asyncDispose]()
    },
  }
}

async function isReached({ connection }: Observer, subject: string): Promise<boolean> {
  try {
    await connection.request(subject, '', { timeout: 500 })
    return true
  } catch {
    return false // not yet
  }
}
