import { OutboxError } from '@outbox/core'
import { Cluster, Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'

const client = new Redis({ lazyConnect: true })
const impatient = new Redis({ lazyConnect: true, commandTimeout: 100 })
const hasty = new Redis({ lazyConnect: true, socketTimeout: 100 })
const hastyCluster = new Cluster([], { lazyConnect: true, redisOptions: { socketTimeout: 100 } })

/** What a user without types may write. */
const untyped: (options: object) => unknown = (options) => Reflect.apply(redisPublisher, undefined, [options])

describe('a mistake in the options is refused with what to write instead', () => {
  it.each<[string, object, RegExp]>([
    ['no client', { stream: 'orders' }, /write `import \{ Redis \} from 'ioredis'`/],
    ['a connection string', { client: 'redis://127.0.0.1', stream: 'orders' }, /client is no ioredis client/],
    ['no stream', { client }, /write a name like 'orders', or a function/],
    ['an empty stream', { client, stream: '' }, /it is empty/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the mistake is the case
    ['a template in plain quotes', { client, stream: 'events:${type}' }, /a stream's name has none: write a function/],
    [
      'a placeholder of NATS',
      { client, stream: 'events:{aggregateType}' },
      /a stream's name has none: write a function/,
    ],
    ['an empty name', { client, stream: 'orders', name: '' }, /name must be a string, and not empty/],
    ['a misspelt option', { client, stream: 'orders', maxLen: 10 }, /maxLen is unknown; there are: client, stream/],
    [
      'a misspelt option of the acknowledgement',
      { client, stream: 'orders', acknowledge: { replica: 1, timeoutMs: 10 } },
      /acknowledge.replica is unknown; there are: replicas, fsync, timeoutMs/,
    ],
    ['an unknown format', { client, stream: 'orders', format: 'xml' }, /format is none of fields, cloudevents/],
    ['no window', { client, stream: 'orders', dedupeWindowMs: 0 }, /milliseconds, a whole number from 1 on/],
    ['a length as text', { client, stream: 'orders', maxLength: '10' }, /is '10': write entries, a whole number/],
    ['a broken length', { client, stream: 'orders', maxLength: 1.5 }, /entries, a whole number from 1 on/],
    [
      'an empty acknowledgement',
      { client, stream: 'orders', acknowledge: { timeoutMs: 10 } },
      /name replicas, or fsync/,
    ],
    [
      'all of how many replicas',
      { client, stream: 'orders', acknowledge: { fsync: 'all', timeoutMs: 10 } },
      /needs to know how many replicas are all/,
    ],
    [
      'a client that gives up before the server does',
      { client: impatient, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 100 } },
      /commandTimeout, 100 ms: raise that above it/,
    ],
    ...[hasty, hastyCluster].map((client): [string, object, RegExp] => [
      `a ${client.isCluster ? 'cluster' : 'client'} that drops its connection before the server answers`,
      { client, stream: 'orders', acknowledge: { replicas: 1, timeoutMs: 100 } },
      /socketTimeout, 100 ms: raise that above it/,
    ]),
  ])('%s', (_, options, message) => {
    const make = () => untyped(options)
    expect(make).toThrow(message)
    expect(make).toThrow(OutboxError)
  })

  it('no options at all', () => {
    expect(() => Reflect.apply(redisPublisher, undefined, [])).toThrow(/client is no ioredis client/)
  })

  it('a publisher is named after its stream, by default, and says how long it drops repeats', () => {
    const publisher = redisPublisher({ client, stream: 'orders' })
    expect(publisher.name).toBe('redis:orders')
    expect(publisher.capabilities).toMatchObject({ keepsOrderInBatch: true, dedupeWindowMs: 3_600_000 })
  })
})
