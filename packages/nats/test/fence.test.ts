import { randomUUID } from 'node:crypto'
import { describeWith, type OwnServer, startTcpProxy, waitFor } from '@outbox/services'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { natsPublisher } from '../src/index.ts'
import { ForwardingConnection } from './forwarding-connection.ts'
import { HeldConnection } from './held-connection.ts'
import {
  arrivals,
  clients,
  dueEntry,
  messageOf,
  type Observer,
  observe,
  publish,
  servers,
  shiftedClock,
  statuses,
} from './support.ts'

for (const { name, need, start } of servers) {
  for (const client of clients) {
    describeWith(need, `fence: 'subject' on ${name}, ${client.name}`, () => {
      let server: OwnServer
      let observer: Observer
      beforeAll(async () => {
        server = await start()
        observer = await observe(server.url)
      })
      afterAll(async () => {
        await observer[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      })

      const destination = async () => {
        const base = `t${randomUUID()}`
        const stream = await observer.addStream(`${base}.>`)
        const subject = `${base}.{aggregateType}.{aggregateId}`
        const connect = async (options: { readonly messageIdSuffix?: string } = {}) => {
          const connection = await client.connect(server.url)
          const held = new HeldConnection(connection)
          const publisher = natsPublisher({ connection: held, subject, fence: 'subject', ...options })
          return { publisher, held, [Symbol.asyncDispose]: () => connection.close() }
        }
        return { base, stream, subject, connect }
      }

      it('a write that is on its way when a newer owner writes is refused by the server', async () => {
        const { base, stream, connect } = await destination()
        await using old = await connect()
        await using next = await connect()
        const second = dueEntry({ sequence: 2 })
        await publish(old.publisher, [dueEntry({ sequence: 1 })])
        old.held.hold((subject) => subject.startsWith(base))
        const late = statuses(old.publisher, [second])
        await waitFor(() => old.held.held === 1, { what: 'the old owner to send' })
        // under another id for deduplication, so that only the fence can tell
        const requeued = { ...second, deduplicationId: `${second.id}#1`, lease: { ...second.lease, epoch: 2 } }
        expect(await statuses(next.publisher, [requeued])).toEqual(['published'])
        old.held.release()
        expect(await late).toEqual(['fenced'])
        expect(await arrivals(observer, stream)).toEqual(['1/1', '1/2'])
      })

      it('a write on its way before the newer owner has written counts: the newer owner finds it', async () => {
        const { base, stream, connect } = await destination()
        await using old = await connect()
        await using next = await connect()
        const entry = dueEntry()
        old.held.hold((subject) => subject.startsWith(base))
        const first = statuses(old.publisher, [entry])
        await waitFor(() => old.held.held === 1, { what: 'the old owner to send' })
        next.held.hold((subject) => subject.startsWith(base))
        const again = { ...entry, lease: { ...entry.lease, epoch: 2, holder: 'relay-b' } }
        const second = statuses(next.publisher, [again, dueEntry({ sequence: 2, epoch: 2, holder: 'relay-b' })])
        await waitFor(() => next.held.held === 1, { what: 'the new owner to send' })
        old.held.release()
        expect(await first).toEqual(['published'])
        next.held.release()
        expect(await second).toEqual(['duplicate', 'published'])
        expect(await arrivals(observer, stream)).toEqual(['1/1', '1/2'])
      })

      it('what was unknown and is stored is found, and not sent again', async () => {
        const { base, stream, subject, connect } = await destination()
        await using other = await connect()
        await using proxy = await startTcpProxy(server.url)
        const connection = await client.connect(proxy.through(server.url))
        const publisher = natsPublisher({ connection, subject, fence: 'subject' })
        const [first, second] = [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 })]
        await publish(publisher, [first])
        proxy.holdAnswers()
        const controller = new AbortController()
        const outcomes = publisher.publish([second], { signal: controller.signal })
        await waitFor(async () => (await observer.count(stream)) === 2, { what: 'the message to be stored' })
        controller.abort()
        expect((await outcomes)[0]?.status).toBe('unknown')
        expect(await statuses(other.publisher, [second])).toEqual(['duplicate'])
        expect(other.held.published.filter((each) => each.startsWith(base))).toEqual([])
        await connection.close()
      })

      it('a new owner that steps back finds what is stored behind later entries, and sends only what is not', async () => {
        const { base, stream, connect } = await destination()
        const entries = [1, 2, 3, 4, 5].map((sequence) => dueEntry({ sequence }))
        await using old = await connect()
        await publish(old.publisher, entries.slice(0, 4))
        await using next = await connect()
        const again = entries.map((entry) => ({ ...entry, lease: { ...entry.lease, epoch: 2, holder: 'relay-b' } }))
        expect(await statuses(next.publisher, again)).toEqual([
          ...['duplicate', 'duplicate', 'duplicate', 'duplicate'],
          'published',
        ])
        expect(next.held.published.filter((each) => each.startsWith(base))).toHaveLength(1)
        expect(await arrivals(observer, stream)).toEqual(['1/1', '1/2', '1/3', '1/4', '1/5'])
      })

      it('an entry below the highest that was never sent is sent: a late commit is not lost', async () => {
        const { base, stream, connect } = await destination()
        const under = (epoch: number, entry = dueEntry()) => ({ ...entry, lease: { ...entry.lease, epoch } })
        const [first, third, fourth] = [1, 3, 4].map((sequence) => dueEntry({ sequence }))
        const late = dueEntry({ sequence: 2, isLate: true })
        await using old = await connect()
        expect(await statuses(old.publisher, [under(1, first), under(1, third), under(1, fourth)])).toEqual([
          ...['published', 'published', 'published'],
        ])
        await using next = await connect()
        expect(await statuses(next.publisher, [under(2, late)])).toEqual(['published'])
        // what stands before it and behind it is found by the next owner, though sequences do not ascend there
        await using last = await connect()
        expect(await statuses(last.publisher, [under(3, late), under(3, fourth)])).toEqual(['duplicate', 'duplicate'])
        expect(last.held.published.filter((each) => each.startsWith(base))).toEqual([])
        expect(await arrivals(observer, stream)).toEqual(['1/1', '1/3', '1/4', '1/2'])
      })

      it('a search that takes longer than ackTimeoutMs ends, and what was not found is sent', async () => {
        const { base, stream, subject, connect } = await destination()
        await using old = await connect()
        const entries = Array.from({ length: 20 }, (_, index) => dueEntry({ sequence: index + 2 }))
        expect(new Set(await statuses(old.publisher, entries))).toEqual(new Set(['published']))
        const connection = await client.connect(server.url)
        const clock = shiftedClock()
        let reads = 0
        class SlowReads extends ForwardingConnection {
          override publish(...call: Parameters<ForwardingConnection['publish']>): void {
            if (call[0].includes('.STREAM.MSG.GET.')) {
              reads += 1
              clock.shift(60_000)
            }
            super.publish(...call)
          }
        }
        const slow = new SlowReads(connection)
        await using publisher = natsPublisher({
          ...{ connection: slow, subject, fence: 'subject', clock },
          ackTimeoutMs: 300_000,
        })
        const late = dueEntry({ sequence: 1, isLate: true })
        expect(await statuses(publisher, [late])).toEqual(['published'])
        // the last message, and for five minutes those before it
        expect(reads).toBe(1 + 5)
        expect((await observer.read(stream, `${base}.>`)).map(({ id }) => id)).toEqual(
          [...entries, late].map(({ id }) => id),
        )
        await connection.close()
      })

      it('a repeat through the publisher that sent it is found, not sent again', async () => {
        const { base, connect } = await destination()
        const entries = [1, 2, 3].map((sequence) => dueEntry({ sequence }))
        await using one = await connect()
        await publish(one.publisher, entries)
        expect(await statuses(one.publisher, entries)).toEqual(['duplicate', 'duplicate', 'duplicate'])
        expect(one.held.published.filter((each) => each.startsWith(base))).toHaveLength(3)
      })

      it('a repeat is found by its id with the suffix that the option gives', async () => {
        const { base, connect } = await destination()
        const entries = [1, 2, 3].map((sequence) => dueEntry({ sequence }))
        await using one = await connect({ messageIdSuffix: 'audit' })
        expect(await statuses(one.publisher, entries)).toEqual(['published', 'published', 'published'])
        await using next = await connect({ messageIdSuffix: 'audit' })
        expect(await statuses(next.publisher, entries)).toEqual(['duplicate', 'duplicate', 'duplicate'])
        expect(next.held.published.filter((each) => each.startsWith(base))).toEqual([])
      })

      it('an epoch granted twice is good for the holder that wrote first', async () => {
        const { connect } = await destination()
        await using one = await connect()
        await using two = await connect()
        await publish(one.publisher, [dueEntry({ sequence: 1, epoch: 4, holder: 'relay-a' })])
        const other = dueEntry({ sequence: 2, epoch: 4, holder: 'relay-b' })
        expect(await publish(two.publisher, [other])).toEqual([{ status: 'fenced', epoch: 4 }])
      })

      it('epochs of another outbox on the same subject fence nobody', async () => {
        const { connect } = await destination()
        await using one = await connect()
        await using two = await connect()
        await publish(one.publisher, [dueEntry({ sequence: 1, epoch: 9 })])
        const other = dueEntry({ sequence: 1, epoch: 1, source: 'outbox-b' })
        expect(await statuses(two.publisher, [other])).toEqual(['published'])
        // through one publisher, too
        const [next, another] = [dueEntry({ sequence: 2, epoch: 9 }), dueEntry({ ...other, sequence: 2 })]
        expect(await statuses(one.publisher, [next])).toEqual(['published'])
        const again = { ...another, id: randomUUID(), deduplicationId: randomUUID() }
        expect(await statuses(one.publisher, [again])).toEqual(['published'])
      })

      it('a relay that was fenced and has the lease again goes on', async () => {
        const { stream, connect } = await destination()
        await using one = await connect()
        await using two = await connect()
        await publish(one.publisher, [dueEntry({ sequence: 1, epoch: 1 })])
        await publish(two.publisher, [dueEntry({ sequence: 2, epoch: 2, holder: 'relay-b' })])
        expect(await statuses(one.publisher, [dueEntry({ sequence: 3, epoch: 1 })])).toEqual(['fenced'])
        expect(await statuses(one.publisher, [dueEntry({ sequence: 3, epoch: 3 })])).toEqual(['published'])
        expect(await arrivals(observer, stream)).toEqual(['1/1', '1/2', '1/3'])
      })

      it('a late batch in the very process that holds the newer lease is fenced too', async () => {
        const { connect } = await destination()
        await using one = await connect()
        await publish(one.publisher, [dueEntry({ sequence: 1, epoch: 2 })])
        expect(await publish(one.publisher, [dueEntry({ sequence: 2, epoch: 1 })])).toEqual([
          { status: 'fenced', epoch: 2 },
        ])
      })

      it('a subject that was purged takes new entries', async () => {
        const { base, stream, connect } = await destination()
        await using one = await connect()
        await publish(one.publisher, [dueEntry({ sequence: 1 })])
        await observer.connection.request(
          `$JS.API.STREAM.PURGE.${stream}`,
          JSON.stringify({ filter: `${base}.order.1` }),
        )
        expect(await observer.count(stream)).toBe(0)
        expect(await statuses(one.publisher, [dueEntry({ sequence: 2 })])).toEqual(['published'])
      })

      it('a subject that has moved to another stream is looked for there', async () => {
        const { base, stream, connect } = await destination()
        await using old = await connect()
        const invoice = { aggregateType: 'invoice' }
        expect(await statuses(old.publisher, [dueEntry()])).toEqual(['published'])
        const ofOrders = JSON.stringify({ name: stream, subjects: [`${base}.order.>`], duplicate_window: 120e9 })
        await observer.connection.request(`$JS.API.STREAM.UPDATE.${stream}`, ofOrders)
        await observer.addStream(`${base}.invoice.>`)
        await using next = await connect()
        expect(await statuses(next.publisher, [dueEntry({ ...invoice, sequence: 1 })])).toEqual(['published'])
        const later = [dueEntry({ ...invoice, sequence: 2, epoch: 2 })]
        expect(await statuses(old.publisher, later)).toEqual(['published'])
      })

      it('more aggregates than the memory holds are still fenced', async () => {
        const { stream, subject } = await destination()
        const connection = await client.connect(server.url)
        const publisher = natsPublisher({ connection, subject, fence: 'subject', fenceCacheSize: 2 })
        const round = (sequence: number) =>
          ['a', 'b', 'c', 'd'].map((aggregateId) => dueEntry({ aggregateId, sequence }))
        expect(await statuses(publisher, round(1))).toEqual(['published', 'published', 'published', 'published'])
        expect(await statuses(publisher, round(2))).toEqual(['published', 'published', 'published', 'published'])
        expect(
          await statuses(
            publisher,
            round(2).map((entry) => ({ ...entry, lease: { ...entry.lease, epoch: 0 } })),
          ),
        ).toEqual(['fenced', 'fenced', 'fenced', 'fenced'])
        expect(await observer.count(stream)).toBe(8)
        await connection.close()
      })

      it('a store without leases, which lends under epoch 0, goes on after a restart under another name', async () => {
        const { connect } = await destination()
        await using before = await connect()
        await using after = await connect()
        const first = dueEntry({ sequence: 1, epoch: 0, holder: 'run 1' })
        expect(await statuses(before.publisher, [first])).toEqual(['published'])
        const second = dueEntry({ sequence: 2, epoch: 0, holder: 'run 2' })
        expect(await statuses(after.publisher, [second])).toEqual(['published'])
      })

      it('a function that gives one aggregate two subjects is told so', async () => {
        const { base } = await destination()
        const connection = await client.connect(server.url)
        const subject = ({ eventType }: { readonly eventType: string }) => `${base}.${eventType}`
        const publisher = natsPublisher({ connection, subject, fence: 'subject' })
        const outcomes = await publish(publisher, [
          dueEntry({ sequence: 1, eventType: 'order.placed' }),
          dueEntry({ sequence: 2, eventType: 'order.paid' }),
        ])
        expect(outcomes.map(({ status }) => status)).toEqual(['published', 'retry'])
        expect(messageOf(outcomes[1])).toContain("fence: 'subject' needs one")
        await connection.close()
      })
    })
  }
}
