import { randomUUID } from 'node:crypto'
import { OutboxError } from '@outbox/core'
import { describeWith, sharedRedis } from '@outbox/services'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodeRedisEntry, type RedisFormat, redisPublisher } from '../src/index.ts'
import { clients, dueEntry, publish } from './support.ts'

const formats: readonly RedisFormat[] = ['fields', 'cloudevents', 'cloudevents-structured']

/** White space, escapes and numbers that a parse and a stringify would change; characters of 1 to 4 bytes. */
const payload = '{ "a" : 1.0, "ü":"€😀", "big":12345678901234567890 ,"esc":"\\u00e9\\/\\ud800" }'
const headers = {
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  id: 'not the id',
  payload: 'not the payload',
  'header:': 'x',
  constructor: 'y',
  Empty: '',
  name: 'Jürgen 😀',
}
const entry = dueEntry({
  aggregateId: 'a b/ü:1',
  aggregateType: 'order line',
  sequence: 9_007_199_254_740_991,
  epoch: 12,
  payload,
  headers,
})

for (const { name, connect } of clients) {
  describeWith('redis', `a message through ${name}`, () => {
    let client: ReturnType<typeof connect>
    let stream: string
    beforeEach(async () => {
      client = connect(await sharedRedis())
      stream = `{test:${randomUUID()}}:orders`
    })
    afterEach(async () => {
      for (const key of [stream, ...(await client.keys(`outbox:${stream.slice(0, stream.indexOf('}') + 1)}*`))])
        await client.del(key)
      client.disconnect()
    })

    it.each(formats)('comes back whole in the format %s', async (format) => {
      await publish(redisPublisher({ client, stream, format }), [entry])
      const [item] = await client.xrange(stream, '-', '+')
      const received = decodeRedisEntry(item)
      expect(received).toMatchObject({
        id: entry.id,
        eventType: 'order.placed',
        aggregateType: 'order line',
        aggregateId: 'a b/ü:1',
        sequence: 9_007_199_254_740_991,
        epoch: 12,
        occurredAt: entry.occurredAt,
      })
      expect(received.headers).toEqual(headers)
      expect(received.payload).toEqual(JSON.parse(payload))
    })

    it.each(['fields', 'cloudevents'] as const)('has the payload byte for byte in the format %s', async (format) => {
      await publish(redisPublisher({ client, stream, format }), [entry])
      const [item] = await client.xrangeBuffer(stream, '-', '+')
      const fields = item?.[1] ?? []
      expect(fields.at(-1)).toEqual(Buffer.from(payload, 'utf8'))
      expect(decodeRedisEntry(item)).toMatchObject({ id: entry.id, payloadText: payload, headers })
    })

    it('holds the payload byte for byte in a structured CloudEvent', async () => {
      await publish(redisPublisher({ client, stream, format: 'cloudevents-structured' }), [entry])
      const [item] = await client.xrange(stream, '-', '+')
      expect(item?.[1]).toHaveLength(2)
      expect(item?.[1][1]).toContain(`"data":${payload}}`)
    })

    it('is read by a consumer group', async () => {
      await client.xgroup('CREATE', stream, 'billing', '0', 'MKSTREAM')
      await publish(redisPublisher({ client, stream }), [entry])
      const reply: unknown = await client.xreadgroup('GROUP', 'billing', 'one', 'COUNT', 10, 'STREAMS', stream, '>')
      const [[, items]] = reply as [[string, unknown[]]]
      expect(items.map((item) => decodeRedisEntry(item).id)).toEqual([entry.id])
    })

    it('that was trimmed after delivery says so', async () => {
      await client.xgroup('CREATE', stream, 'billing', '0', 'MKSTREAM')
      await publish(redisPublisher({ client, stream }), [entry])
      await client.xreadgroup('GROUP', 'billing', 'one', 'STREAMS', stream, '>')
      await client.xtrim(stream, 'MAXLEN', 0)
      const reply: unknown = await client.xreadgroup('GROUP', 'billing', 'one', 'STREAMS', stream, '0')
      const [[, [item]]] = reply as [[string, unknown[]]]
      expect(() => decodeRedisEntry(item)).toThrow(/deleted or trimmed after delivery/)
    })
  })
}

describe('what is no message of an outbox', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /is no \[id, fields\] of a stream/],
    ['a record', { id: '1-0' }, /is no \[id, fields\] of a stream/],
    ['a whole reply', [['orders', []]], /is no \[id, fields\] of a stream/],
    ["somebody else's item", ['1-0', ['temperature', '20']], /payload is missing: no outbox publisher wrote this item/],
    ['half an item', ['1-0', ['payload', '{}']], /id is missing/],
    [
      'bytes that are no UTF-8',
      ['1-0', [Buffer.from('payload'), Buffer.from([0x22, 0xff, 0x22])]],
      /field that is no text/,
    ],
    ['a payload that is not JSON', ['1-0', ['id', randomUUID(), 'payload', '{']], /cannot be decoded/],
  ])('%s is refused with a reason', (_, item, reason) => {
    const decode = () => decodeRedisEntry(item)
    expect(decode).toThrow(OutboxError)
    expect(decode).toThrow(reason)
  })
})
