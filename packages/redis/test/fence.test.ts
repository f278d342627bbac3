import { describeWith, type OwnServer } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import { arrivals, connect, dueEntry, entriesOf, publish, servers, statuses } from './support.ts'

for (const { name, need, start } of servers) {
  describeWith(need, `the fence in ${name}`, () => {
    let server: OwnServer
    let client: ReturnType<typeof connect>
    const publisher = () => redisPublisher({ client, stream: 'orders' })
    beforeAll(async () => {
      server = await start()
      client = connect(server.url)
    })
    beforeEach(() => client.flushall())
    afterAll(async () => {
      client.disconnect()
      await server[Symbol.asyncDispose]()
    })

    it('refuses a late write of an older epoch, names the newer one, and writes nothing', async () => {
      await publish(publisher(), entriesOf('1', [2], { epoch: 5, holder: 'relay-b' }))
      const late = entriesOf('1', [1, 2], { epoch: 4, holder: 'relay-a' })
      expect(await publish(publisher(), late)).toEqual([{ status: 'fenced', epoch: 5 }, { status: 'notSent' }])
      expect(await arrivals(client, 'orders')).toEqual(['1/2'])
    })

    it('refuses the late write of an entry that the new owner never had', async () => {
      await publish(publisher(), entriesOf('1', [1], { epoch: 5 }))
      expect(await statuses(publisher(), entriesOf('2', [1], { epoch: 4 }))).toEqual(['fenced'])
    })

    it('is raised by a batch of duplicates, too', async () => {
      const entry = dueEntry({ epoch: 4 })
      await publish(publisher(), [entry])
      await publish(publisher(), [{ ...entry, lease: { partition: 7, epoch: 5, holder: 'relay-b' } }])
      expect(await statuses(publisher(), entriesOf('2', [1], { epoch: 4 }))).toEqual(['fenced'])
    })

    it('lets the owner go on, and a higher epoch take over', async () => {
      for (const epoch of [3, 3, 4, 9_007_199_254_740_991]) {
        expect(await statuses(publisher(), [dueEntry({ epoch })])).toEqual(['published'])
      }
      expect(await publish(publisher(), [dueEntry({ epoch: 9_007_199_254_740_990 })])).toEqual([
        { status: 'fenced', epoch: 9_007_199_254_740_991 },
      ])
    })

    it('compares numbers, not text: epoch 10 is above 9', async () => {
      expect(await statuses(publisher(), [dueEntry({ epoch: 9 })])).toEqual(['published'])
      expect(await statuses(publisher(), [dueEntry({ epoch: 10 })])).toEqual(['published'])
      expect(await statuses(publisher(), [dueEntry({ epoch: 9 })])).toEqual(['fenced'])
    })

    it('an epoch that was granted twice belongs to whoever wrote first', async () => {
      await publish(publisher(), [dueEntry({ epoch: 5, holder: 'relay-a' })])
      expect(await publish(publisher(), [dueEntry({ epoch: 5, holder: 'relay-b' })])).toEqual([
        { status: 'fenced', epoch: 5 },
      ])
      expect(await statuses(publisher(), [dueEntry({ epoch: 5, holder: 'relay-a' })])).toEqual(['published'])
    })

    it('is kept per partition, per outbox and per stream', async () => {
      await publish(publisher(), [dueEntry({ epoch: 5 })])
      const old = { partition: 8, epoch: 4, holder: 'relay-a' }
      expect(await statuses(publisher(), [dueEntry({ lease: old })])).toEqual(['published'])
      expect(await statuses(publisher(), [dueEntry({ epoch: 4, source: 'outbox-b' })])).toEqual(['published'])
      expect(await statuses(redisPublisher({ client, stream: 'bills' }), [dueEntry({ epoch: 4 })])).toEqual([
        'published',
      ])
    })

    it('stops the partition that is lost, and no other of the batch', async () => {
      await publish(publisher(), [dueEntry({ epoch: 5 })])
      const batch = [
        ...entriesOf('1', [1, 2], { epoch: 4 }),
        dueEntry({ aggregateId: '2', epoch: 4 }),
        dueEntry({ aggregateId: '3', lease: { partition: 8, epoch: 4, holder: 'relay-a' } }),
      ]
      expect(await statuses(publisher(), batch)).toEqual(['fenced', 'notSent', 'fenced', 'published'])
    })

    it('an entry that would get through does not, behind one of its aggregate that did not', async () => {
      await publish(publisher(), [dueEntry({ epoch: 5 })])
      const batch = [...entriesOf('2', [1], { epoch: 4 }), ...entriesOf('2', [2], { epoch: 6 })]
      expect(await statuses(publisher(), batch)).toEqual(['fenced', 'notSent'])
      expect(await arrivals(client, 'orders')).toEqual(['1/1'])
    })

    it('does not hold for a store without leases, whose epoch is 0', async () => {
      await publish(publisher(), [dueEntry({ epoch: 5 })])
      expect(await statuses(publisher(), [dueEntry({ epoch: 0, holder: '' })])).toEqual(['published'])
    })
  })
}
