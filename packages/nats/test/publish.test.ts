import { randomUUID } from 'node:crypto'
import { permanent } from '@outbox/core'
import { describeWith, type OwnServer } from '@outbox/services'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { escapeSubjectToken, type NatsConnectionLike, natsPublisher } from '../src/index.ts'
import { ForwardingConnection } from './forwarding-connection.ts'
import {
  arrivals,
  clients,
  dueEntry,
  messageOf,
  type Observer,
  observe,
  publish,
  servers,
  statuses,
  type TestConnection,
} from './support.ts'

/** Each message is replied to by somebody else before the stream has it. */
class OvertakenConnection extends ForwardingConnection {
  override publish(...call: Parameters<NatsConnectionLike['publish']>): void {
    const [, , { reply } = {}] = call
    if (reply !== undefined) super.publish(reply, new TextEncoder().encode('seen'))
    super.publish(...call)
  }
}

for (const { name, need, start } of servers) {
  for (const client of clients) {
    describeWith(need, `publishing to ${name}, ${client.name}`, () => {
      let server: OwnServer
      let observer: Observer
      let connection: TestConnection
      beforeAll(async () => {
        server = await start({ config: 'jetstream { domain: hub }' })
        observer = await observe(server.url)
        connection = await client.connect(server.url)
      })
      afterAll(async () => {
        await connection.close()
        await observer[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      })

      it('a subject function that throws costs its own entry a retry, and no other aggregate anything', async () => {
        const base = `t${randomUUID()}`
        const stream = await observer.addStream(`${base}.>`)
        const subject = ({ aggregateId }: { readonly aggregateId: string }): string => {
          if (aggregateId === 'bug') throw new Error('a bug of the user')
          if (aggregateId === 'refused') throw permanent('no such tenant')
          return aggregateId === 'bad' ? `${base}.a b` : `${base}.${escapeSubjectToken(aggregateId)}`
        }
        await using publisher = natsPublisher({ connection, subject })
        const outcomes = await publish(publisher, [
          dueEntry({ aggregateId: 'bug', sequence: 1 }),
          dueEntry({ aggregateId: 'bug', sequence: 2 }),
          dueEntry({ aggregateId: 'bad' }),
          dueEntry({ aggregateId: 'good' }),
          dueEntry({ aggregateId: 'refused' }),
        ])
        expect(outcomes.map(({ status }) => status)).toEqual(['retry', 'notSent', 'reject', 'published', 'reject'])
        expect(outcomes[0]).toMatchObject({ error: { code: 'callback-failed' } })
        expect(messageOf(outcomes[0])).toBe('The function subject of natsPublisher threw: a bug of the user')
        expect(messageOf(outcomes[2])).toContain('contains white space')
        expect(await arrivals(observer, stream)).toEqual(['good/1'])
      })

      it('two streams that share the subjects of a template each get their own, fenced or not', async () => {
        const base = `t${randomUUID()}`
        const orders = await observer.addStream(`${base}.order.>`)
        const users = await observer.addStream(`${base}.user.>`)
        const subject = `${base}.{aggregateType}.{aggregateId}`
        for (const [fence, sequence] of [
          ['none', 1],
          ['subject', 2],
        ] as const) {
          await using publisher = natsPublisher({ connection, subject, fence })
          const entries = [dueEntry({ sequence }), dueEntry({ aggregateType: 'user', sequence })]
          expect(await statuses(publisher, entries)).toEqual(['published', 'published'])
        }
        expect(await arrivals(observer, orders)).toEqual(['1/1', '1/2'])
        expect(await arrivals(observer, users)).toEqual(['1/1', '1/2'])
      })

      for (const format of ['headers', 'cloudevents', 'cloudevents-structured'] as const) {
        it(`two publishers to one stream, one of them with a suffix for its ids, each get an entry in, ${format}`, async () => {
          const base = `t${randomUUID()}`
          const stream = await observer.addStream(`${base}.>`)
          const options = { connection, format }
          await using plain = natsPublisher({ ...options, subject: `${base}.plain.{aggregateId}` })
          await using audit = natsPublisher({
            ...{ ...options, subject: `${base}.audit.{aggregateId}` },
            messageIdSuffix: 'audit',
          })
          const entry = dueEntry()
          for (const publisher of [plain, audit]) expect(await statuses(publisher, [entry])).toEqual(['published'])
          for (const publisher of [plain, audit]) expect(await statuses(publisher, [entry])).toEqual(['duplicate'])
          expect((await observer.read(stream)).map(({ id }) => id)).toEqual([entry.id, entry.id])
        })
      }

      it("the API of a JetStream domain is asked under its own prefix, by check, probe and fence: 'subject'", async () => {
        const base = `t${randomUUID()}`
        const stream = await observer.addStream(`${base}.>`)
        const subject = `${base}.{aggregateId}`
        await using publisher = natsPublisher({ connection, subject, fence: 'subject', apiPrefix: '$JS.hub.API' })
        expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([])
        await publisher.probe?.({})
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
        await using elsewhere = natsPublisher({ connection, subject, apiPrefix: '$JS.other.API' })
        await expect(elsewhere.probe?.({})).rejects.toMatchObject({ code: 'unavailable' })
        expect(await observer.count(stream)).toBe(1)
      })

      it('what somebody else on the subject replies is no acknowledgement, and keeps none away', async () => {
        const base = `t${randomUUID()}`
        await using publisher = natsPublisher({ connection, subject: `${base}.{aggregateId}`, ackTimeoutMs: 300 })
        observer.connection.subscribe(`${base}.>`, { callback: (_, message) => void message.respond('seen') })
        await observer.connection.flush()
        const [alone] = await publish(publisher, [dueEntry()])
        expect(alone?.status).toBe('unknown')
        expect(messageOf(alone)).toContain(`what else listens on '${base}.1' replied, and is not who was asked`)
        const stream = await observer.addStream(`${base}.>`)
        await using overtaken = natsPublisher({
          connection: new OvertakenConnection(connection),
          subject: `${base}.{aggregateId}`,
        })
        for (const each of [publisher, overtaken]) expect(await statuses(each, [dueEntry()])).toEqual(['published'])
        await publisher.probe?.({})
        expect(await observer.count(stream)).toBe(2)
      })

      it('tells the broker which stream it means, if that is given', async () => {
        const base = `t${randomUUID()}`
        const stream = await observer.addStream(`${base}.>`)
        await using publisher = natsPublisher({ connection, subject: `${base}.{aggregateId}`, stream })
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
        expect(await observer.count(stream)).toBe(1)
      })
    })
  }
}
