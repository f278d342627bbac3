import { jetstream } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import type { Contestant } from '../../contestant.ts'
import { dueEntry, fieldsOf } from '../../due.ts'
import { openJetStream } from './jetstream-stream.ts'

const inFlight = 100

export const contestant: Contestant = {
  title: 'js.publish',
  role: 'peer',
  guarantee: { order: 'per aggregate', isFenced: false, isDurable: true, but: 'a lost message is overtaken' },
  tuning: `${inFlight} in flight, message ids, the same headers`,
  async open(setting) {
    const { connection, name, left } = await openJetStream(setting)
    const js = jetstream(connection)
    const entries = Array.from({ length: setting.rows }, (_, n) => dueEntry(n, setting)).values()
    const encoder = new TextEncoder()
    const send = async (): Promise<void> => {
      for (const entry of entries) {
        const messageHeaders = headers()
        for (const [field, value] of fieldsOf(entry)) messageHeaders.set(`Outbox-${field}`, value)
        await js.publish(`${name}.${entry.aggregateType}.${entry.aggregateId}`, encoder.encode(entry.payload), {
          msgID: entry.deduplicationId,
          headers: messageHeaders,
        })
      }
    }
    return {
      async run() {
        await Promise.all(Array.from({ length: inFlight }, send))
        return undefined
      },
      left,
      [Symbol.asyncDispose]: () => connection.close(),
    }
  },
}
