import { OutboxError } from '@outbox/core'
import { expect, it } from 'vitest'
import { type NatsPublisherOptions, natsPublisher } from '../src/index.ts'

const connection = {
  publish: () => undefined,
  subscribe: () => ({ unsubscribe: () => undefined }),
  async *status() {},
  isClosed: () => false,
  isDraining: () => false,
}

it('an option that cannot work is refused at once, by name', () => {
  const wrong: readonly object[] = [
    { connection: undefined },
    { connection: 'nats://127.0.0.1' },
    { subject: undefined },
    { subject: 5 },
    { stream: 'a.b' },
    { stream: '' },
    { format: 'json' },
    { fence: true },
    { batch: true },
    { batch: 'atomic' },
    { batch: 'atomic', stream: 'EVENTS', fence: 'subject' },
    { maxInFlight: 0 },
    { maxInFlight: 1.5 },
    { maxInFlight: '5' },
    { ackTimeoutMs: 0 },
    { ackTimeoutMs: Number.POSITIVE_INFINITY },
    { inboxPrefix: '_INBOX.>' },
    { apiPrefix: '' },
    { fenceCacheSize: -1 },
    { messageIdSuffix: '' },
    { messageIdSuffix: '#1' },
    { messageIdSuffix: 'two words' },
    { messageIdSuffix: 'x'.repeat(65) },
    { messageIdSuffix: 5 },
    { name: '' },
    { subjct: 'events' },
    { conection: connection },
  ]
  for (const option of wrong) {
    const options: NatsPublisherOptions = Object.assign({ connection, subject: 'events.{aggregateId}' }, option)
    const [name = ''] = Object.keys(option)
    expect(() => natsPublisher(options), name).toThrow(
      expect.toSatisfy((error) => OutboxError.is(error, 'invalid-option') && error.details.option === name),
    )
  }
})

it('no options at all are told as such, and a misspelt one with those that there are', () => {
  expect(() => Reflect.apply(natsPublisher, undefined, [])).toThrow('connection is no NATS connection')
  const misspelt = { connection, subject: 'events', maxInflight: 5 }
  expect(() => Reflect.apply(natsPublisher, undefined, [misspelt])).toThrow(
    /maxInflight is unknown; there are: .*maxInFlight/,
  )
})

it('an option that is undefined counts as left out', () => {
  const left: object = {
    stream: undefined,
    name: undefined,
    fence: undefined,
    messageIdSuffix: undefined,
  }
  const options: NatsPublisherOptions = Object.assign({ connection, subject: 'events.{aggregateId}' }, left)
  expect(natsPublisher(options).name).toBe('nats')
})
