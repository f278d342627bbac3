import type { NatsConnection as Connection3, connect as connect3 } from '@nats-io/transport-node'
import type { Publisher } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { NatsConnection as Connection2, connect as connect2 } from 'nats'
import { expectTypeOf, it } from 'vitest'
import { decodeNatsMessage, type NatsConnectionLike, type NatsMessageLike, natsPublisher } from '../src/index.ts'

type Consumed3 = NonNullable<Awaited<ReturnType<import('@nats-io/jetstream').Consumer['next']>>>
type Consumed2 = NonNullable<Awaited<ReturnType<import('nats').Consumer['next']>>>

it('connections of both libraries fit without a cast', () => {
  expectTypeOf<Connection2>().toExtend<NatsConnectionLike>()
  expectTypeOf<Connection3>().toExtend<NatsConnectionLike>()
  expectTypeOf<Awaited<ReturnType<typeof connect2>>>().toExtend<NatsConnectionLike>()
  expectTypeOf<Awaited<ReturnType<typeof connect3>>>().toExtend<NatsConnectionLike>()
})

it('messages of both libraries can be decoded, and the payload has the type that is asked for', () => {
  expectTypeOf<Consumed2>().toExtend<NatsMessageLike>()
  expectTypeOf<Consumed3>().toExtend<NatsMessageLike>()
  expectTypeOf(decodeNatsMessage<{ total: number }>).returns.toEqualTypeOf<ReceivedEntry<{ total: number }>>()
})

it('a misspelt option, an option of the wrong type, and what is no connection do not compile', () => {
  const wrong = (connection: Connection3): readonly Publisher[] => [
    // @ts-expect-error a misspelt option
    natsPublisher({ connection, subject: 'events.{aggregateId}', subjects: [] }),
    // @ts-expect-error a subject function returns text
    natsPublisher({ connection, subject: () => 5 }),
    // @ts-expect-error there is no such format
    natsPublisher({ connection, subject: 'events', format: 'json' }),
    // @ts-expect-error a URL is no connection
    natsPublisher({ connection: 'nats://127.0.0.1:4222', subject: 'events' }),
    // @ts-expect-error the subject is missing
    natsPublisher({ connection }),
  ]
  expectTypeOf(wrong).toBeFunction()
})
