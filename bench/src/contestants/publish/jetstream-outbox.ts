import { natsPublisher } from '@outbox/nats'
import type { Contestant } from '../../contestant.ts'
import { openJetStream } from './jetstream-stream.ts'
import { throughPublisher } from './through-publisher.ts'

export const contestant: Contestant = {
  title: '@outbox/nats',
  role: 'ours',
  guarantee: { order: 'per aggregate', isFenced: false, isDurable: true },
  tuning: 'defaults, 4 batches of up to 500 at once',
  async open(setting) {
    const { connection, name, left } = await openJetStream(setting)
    const publisher = natsPublisher({ connection, subject: `${name}.{aggregateType}.{aggregateId}` })
    return throughPublisher(publisher, setting, {
      left,
      async [Symbol.asyncDispose]() {
        await publisher.close()
        await connection.close()
      },
    })
  },
}
