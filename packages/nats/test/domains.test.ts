import { randomUUID } from 'node:crypto'
import { describeWith, freePort, type OwnServer, waitFor } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { natsPublisher } from '../src/index.ts'
import { clients, dueEntry, type Observer, observe, servers, statuses, type TestConnection } from './support.ts'

const apiPrefix = '$JS.hub.API'

for (const { name, need, start } of servers) {
  describeWith(need, `two domains, a hub and a leaf, with streams for the same subjects, ${name}`, () => {
    let hub: OwnServer
    let leaf: OwnServer
    let atHub: Observer
    let atLeaf: Observer
    let connections: readonly TestConnection[]
    let base: string
    beforeAll(async () => {
      const port = await freePort()
      hub = await start({ config: `jetstream { domain: hub }\nleafnodes { listen: 127.0.0.1:${port} }` })
      leaf = await start({
        config: `jetstream { domain: leaf }\nleafnodes { remotes: [{ url: "nats-leaf://127.0.0.1:${port}" }] }`,
      })
      atHub = await observe(hub.url)
      atLeaf = await observe(leaf.url)
      connections = await Promise.all(clients.map(({ connect }) => connect(leaf.url)))
      await waitFor(() => isReached(atLeaf, `${apiPrefix}.INFO`), { what: 'the leaf to reach the hub' })
    })
    beforeEach(() => {
      base = `t${randomUUID()}`
    })
    afterAll(async () => {
      for (const connection of connections) await connection.close()
      for (const each of [atHub, atLeaf, hub, leaf]) await each[Symbol.asyncDispose]()
    })

    for (const fence of ['none', 'subject'] as const) {
      it(`what the leaf's stream stores is not published to the hub, fence: '${fence}'`, async () => {
        const stream = await atHub.addStream(`${base}.>`, { max_msgs: 1, discard: 'new' })
        await atLeaf.addStream(`${base}.>`)
        const subject = `${base}.{aggregateId}`
        for (const [index, connection] of connections.entries()) {
          await using publisher = natsPublisher({ connection, subject, apiPrefix, fence })
          const expected = index === 0 ? ['published'] : ['unavailable']
          expect(await statuses(publisher, [dueEntry({ aggregateId: String(index) })])).toEqual(expected)
        }
        expect(await atHub.count(stream)).toBe(1)
      })
    }

    it("that the leaf's stream is not the one named keeps nothing from the hub's", async () => {
      const stream = await atHub.addStream(`${base}.>`)
      await atLeaf.addStream(`${base}.>`)
      for (const connection of connections) {
        await using publisher = natsPublisher({ connection, subject: `${base}.{aggregateId}`, apiPrefix, stream })
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
      }
      expect(await atHub.count(stream)).toBe(2)
    })
  })
}

async function isReached({ connection }: Observer, subject: string): Promise<boolean> {
  try {
    await connection.request(subject, '', { timeout: 500 })
    return true
  } catch {
    return false // not yet
  }
}
