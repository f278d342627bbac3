import { randomUUID } from 'node:crypto'
import { jetstream } from '@nats-io/jetstream'
import { connect as connect3 } from '@nats-io/transport-node'
import { OutboxError } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import { describeWith, type OwnServer } from '@outbox/services'
import { connect as connect2, headers as headers2 } from 'nats'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeNatsMessage, type NatsFormat, type NatsMessageLike, natsPublisher } from '../src/index.ts'
import { messageOf } from '../src/message.ts'
import { clients, dueEntry, type Observer, observe, publish, servers } from './support.ts'

const formats: readonly NatsFormat[] = ['headers', 'cloudevents', 'cloudevents-structured']
const entry = dueEntry({
  id: '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111',
  aggregateType: 'sales order',
  aggregateId: ' o 1 "größe" 100% 😀 ',
  eventType: 'order.placed.v2',
  sequence: 42,
  epoch: 7,
  payload: '{ "total": 1.0, "text": "größe 日本 😀" }',
  headers: {
    tenant: '  blue  ',
    Empty: '',
    unicode: '日本 😀 é',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  },
  deduplicationId: '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111#1',
})

/** Messages as consumers of both libraries get them. */
const consumers: readonly {
  readonly name: string
  readonly first: (url: string, stream: string) => Promise<NatsMessageLike>
}[] = [
  {
    name: '@nats-io 3',
    async first(url, stream) {
      const connection = await connect3({ servers: url })
      const consumer = await jetstream(connection).consumers.get(stream)
      const message = await consumer.next()
      await connection.close()
      if (!message) throw new Error('there is no message')
      return message
    },
  },
  {
    name: 'nats 2',
    async first(url, stream) {
      const connection = await connect2({ servers: url })
      const consumer = await connection.jetstream().consumers.get(stream)
      const message = await consumer.next()
      await connection.close()
      if (!message) throw new Error('there is no message')
      return message
    },
  },
]

for (const { name, need, start } of servers) {
  describeWith(need, `a message on ${name}`, () => {
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

    for (const client of clients) {
      for (const format of formats) {
        for (const consumer of consumers) {
          it(`${format}, written through ${client.name}, comes back from a consumer of ${consumer.name}`, async () => {
            const base = `t${randomUUID()}`
            const stream = await observer.addStream(`${base}.>`)
            const connection = await client.connect(server.url)
            const publisher = natsPublisher({ connection, subject: `${base}.{aggregateId}.{eventType}`, format })
            expect(await publish(publisher, [entry])).toEqual([{ status: 'published' }])
            await connection.close()

            const message = await consumer.first(server.url, stream)
            expect(message.subject).toBe(
              `${base}.%20o%201%20%22gr%C3%B6%C3%9Fe%22%20100%25%20%F0%9F%98%80%20.order.placed.v2`,
            )
            const received: ReceivedEntry = decodeNatsMessage(message)
            expect(received).toEqual({
              id: entry.id,
              eventType: entry.eventType,
              aggregateType: entry.aggregateType,
              aggregateId: entry.aggregateId,
              sequence: 42,
              epoch: 7,
              occurredAt: entry.occurredAt,
              headers: entry.headers,
              payload: { total: 1, text: 'größe 日本 😀' },
              // a structured event is one document: its data is written anew when it is read
              payloadText: format === 'cloudevents-structured' ? '{"total":1,"text":"größe 日本 😀"}' : entry.payload,
            })
            expect(message.headers?.get('Nats-Msg-Id')).toBe(entry.deduplicationId)
            expect(message.headers?.get('Outbox-Sequence')).toBe('42')
            expect(message.headers?.get('Outbox-Epoch')).toBe('7')
            if (format !== 'cloudevents-structured') {
              expect(Buffer.from(message.data).equals(Buffer.from(entry.payload))).toBe(true)
            }
          })
        }
      }
    }
  })
}

describe('the header block', () => {
  const block = (format: NatsFormat): readonly string[] =>
    new TextDecoder()
      .decode(messageOf(entry, 'events.1', { format, expectedStream: 'EVENTS' }).headers.encode())
      .split('\r\n')

  it('of format headers carries every field, printable ASCII only', () => {
    expect(block('headers')).toEqual([
      'NATS/1.0',
      'Nats-Msg-Id: 0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111#1',
      'Nats-Expected-Stream: EVENTS',
      'Outbox-Sequence: 42',
      'Outbox-Epoch: 7',
      'Outbox-Id: 0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111',
      'Outbox-Event-Type: order.placed.v2',
      'Outbox-Aggregate-Type: sales%20order',
      'Outbox-Aggregate-Id: %20o%201%20%22gr%C3%B6%C3%9Fe%22%20100%25%20%F0%9F%98%80%20',
      'Outbox-Occurred-At: 2026-11-24T08:00:00.000Z',
      'tenant: %20%20blue%20%20',
      'Empty: ',
      'unicode: %E6%97%A5%E6%9C%AC%20%F0%9F%98%80%20%C3%A9',
      'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      '',
      '',
    ])
  })

  it('of format cloudevents carries the attributes as ce- headers, the content type among them', () => {
    const lines = block('cloudevents')
    expect(lines).toContain('ce-specversion: 1.0')
    expect(lines).toContain('ce-type: order.placed.v2')
    expect(lines).toContain('ce-source: /sales%2520order')
    expect(lines).toContain('ce-datacontenttype: application/json')
    expect(lines).toContain('ce-traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
    // in the NATS binding a content type says that the event is structured
    expect(lines.filter((line) => /^content-type/i.test(line))).toEqual([])
  })

  it('of format cloudevents-structured names the content type', () => {
    expect(block('cloudevents-structured')).toContain('Content-Type: application/cloudevents+json')
  })

  it('carries the suffix behind the id for deduplication, and nowhere else', () => {
    const options = { format: 'headers', expectedStream: undefined } as const
    const message = messageOf(entry, 'events.1', { ...options, messageIdSuffix: 'audit' })
    expect(message.headers.get('Nats-Msg-Id')).toBe(`${entry.id}#1:audit`)
    expect(message.messageId).toBe(`${entry.id}#1:audit`)
    expect(message.headers.get('Outbox-Id')).toBe(entry.id)
  })

  it('is counted in the size of the message', () => {
    const message = messageOf(entry, 'events.1', { format: 'headers', expectedStream: undefined })
    expect(message.bytes).toBe(message.headers.encode().length + Buffer.byteLength(entry.payload))
  })
})

describe('decodeNatsMessage', () => {
  const message = (content: Record<string, string>, text = '{}'): Pick<NatsMessageLike, 'data' | 'headers'> => {
    const headers = headers2()
    for (const [name, value] of Object.entries(content)) headers.set(name, value)
    return { data: Buffer.from(text), headers }
  }

  it('refuses what no outbox has written, and says what is missing', () => {
    const foreign: readonly Pick<NatsMessageLike, 'data' | 'headers'>[] = [
      { data: Buffer.from('{}') },
      message({}),
      message({ 'Outbox-Id': 'no uuid' }),
      message({ 'Outbox-Id': entry.id }),
      message({ 'ce-specversion': '0.3' }),
      message({ 'content-type': 'application/cloudevents+json' }, 'no JSON'),
      { data: Buffer.from([0xff, 0xfe]) },
    ]
    for (const each of foreign) {
      expect(() => decodeNatsMessage(each)).toThrow(
        expect.toSatisfy(
          (error) => OutboxError.is(error, 'invalid-event') && error.message.includes('The message cannot be decoded'),
        ),
      )
    }
  })

  it('reads headers whose names a proxy has written in another case', () => {
    const written = messageOf(entry, 'events.1', { format: 'headers', expectedStream: undefined })
    const lower = Object.fromEntries(
      written.headers.keys().map((name) => [name.toLowerCase(), written.headers.get(name)]),
    )
    expect(decodeNatsMessage(message(lower, entry.payload)).aggregateId).toBe(entry.aggregateId)
  })
})
