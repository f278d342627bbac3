import { mongoInbox, mongoOutbox } from '@outbox/mongo'
import { decodeNatsMessage, natsPublisher } from '@outbox/nats'
import { createRelay } from '@outbox/relay'
import { type BookLent, Library, NoCopyLeft } from './library.ts'
import { Reminders } from './reminders.ts'
import { openServers } from './servers.ts'

await using servers = await openServers()
const { client, db, connection, consumer, stream } = servers
const outbox = mongoOutbox({ client, db })
const library = new Library({ client, db }, outbox)
const reminders = new Reminders({ client, db }, mongoInbox({ client, db }))

await using publisher = natsPublisher({ connection, subject: `${stream}.{aggregateType}.{aggregateId}` })
await using relay = createRelay({
  store: outbox,
  publisher,
  on: {
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(during, error),
  },
})
await relay.start()

await library.buy('Emma', 2)
// at once, so that the transactions meet: one of them is run again
await Promise.all(['Ada', 'Bob'].map((reader) => library.lend('Emma', reader)))
console.log('Ada and Bob have a copy of Emma each')
try {
  await library.lend('Emma', 'Cleo')
} catch (error) {
  if (!(error instanceof NoCopyLeft)) throw error
  console.log('Cleo has none: rolled back, and the event with it')
}

let handled = 0
// without `abort_on_missing_resource` it would wait for ever when the durable or its stream is gone
for await (const message of await consumer.consume({ abort_on_missing_resource: true })) {
  const entry = decodeNatsMessage<BookLent>(message)
  // delivered twice at once, as to two consumers
  const both = await Promise.all([reminders.handle(entry), reminders.handle(entry)])
  console.log(
    `${entry.aggregateId} #${entry.sequence} ${entry.eventType}: noted ${both.filter((is) => is).length} time`,
  )
  message.ack()
  handled += 1
  if (handled === 2) break
}
console.log(`reminders: ${await reminders.count()}`)
