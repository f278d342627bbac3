import { randomUUID } from 'node:crypto'
import { pgOutbox } from '@outbox/drizzle/pg'
import { decodeNatsMessage, natsPublisher } from '@outbox/nats'
import { createRelay } from '@outbox/relay'
import { consume, takePostage } from './consumers.ts'
import { PostOffice } from './post-office.ts'
import { openServers } from './servers.ts'

await using servers = await openServers()
const { db, connection, stream } = servers
const outbox = pgOutbox({ db })

// An id may hold anything: it is escaped, so that it is one token of the subject.
await using publisher = natsPublisher({ connection, subject: `${stream}.{aggregateType}.{aggregateId}.{eventType}` })
await using relay = createRelay({
  store: outbox,
  publisher,
  on: {
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(during, error),
  },
})
await relay.start()

const office = new PostOffice(db, outbox)
const request = { label: 'Lyon > 7/B *fragile*', grams: 900, requestId: randomUUID() }
for (const attempt of ['first', 'second']) {
  console.log(`${attempt} request: ${(await office.post(request)) ? 'posted' : 'was here already'}`)
}
await office.post({ label: 'no. 8', grams: 120, requestId: randomUUID() })
await office.deliver(request.label, 'a neighbour')

console.log('\nthe consumer `postage` takes parcel.posted alone')
const taken: string[] = []
for await (const message of await consume(servers, 'postage', `${stream}.parcel.*.parcel.posted`)) {
  const line = await takePostage(db, message)
  taken.push(line)
  const fails = line.startsWith(request.label) && message.info.deliveryCount === 1
  if (fails)
    message.nak() // as if it had failed after its effect: the message comes again
  else message.ack()
  if (taken.length === 3) break
}
for (const line of taken.toSorted()) console.log(`  ${line}`)

console.log('\nthe consumer `tracking` takes all events of parcels')
const seen: string[] = []
for await (const message of await consume(servers, 'tracking', `${stream}.parcel.>`)) {
  const { aggregateId, sequence, eventType, payloadText } = decodeNatsMessage(message)
  seen.push(`${aggregateId} #${sequence} ${eventType} ${payloadText}`)
  message.ack()
  if (seen.length === 3) break
}
// sorted, for there is an order within a parcel, and none between two
for (const line of seen.toSorted()) console.log(`  ${line}`)
