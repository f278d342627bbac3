import { mysqlInbox, mysqlOutbox } from '@outbox/drizzle/mysql'
import { decodeRedisEntry, redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { BoxOffice } from './box-office.ts'
import { openServers } from './servers.ts'
import { type SeatBooked, SeatTaken, Theatre } from './theatre.ts'

await using servers = await openServers()
const { db, redis, stream } = servers
const outbox = mysqlOutbox({ db })
const theatre = new Theatre(db, outbox)
await theatre.open(['A1', 'A2', 'B1'], 2_500)

await book(['A1', 'A2'], 'Ada')
await book(['B1', 'A2'], 'Bob')
await book(['B1'], 'Bob')

const publisher = redisPublisher({ client: redis, stream })
const { published } = await createRelay({ store: outbox, publisher }).tick()
console.log(`published: ${published}`)

const boxOffice = new BoxOffice(db, mysqlInbox({ db }))
for (const delivery of ['first', 'second']) {
  const messages = (await redis.xrange(stream, '-', '+')).map((message) => decodeRedisEntry<SeatBooked>(message))
  // side by side, as several consumers would
  const isFirst = await Promise.all(messages.map((message) => boxOffice.handle(message)))
  const counted = isFirst.filter((is) => is).length
  console.log(`${delivery} delivery: ${counted} of ${messages.length} counted, taken ${await boxOffice.total()} cents`)
}

async function book(seats: readonly string[], guest: string): Promise<void> {
  try {
    await theatre.book(seats, guest)
    console.log(`${guest} has ${seats.join(' and ')}`)
  } catch (error) {
    if (!(error instanceof SeatTaken)) throw error
    console.log(`${guest} cannot have ${seats.join(' and ')}: ${error.message} is taken; nothing was booked or told`)
  }
}
