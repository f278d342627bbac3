import { pgOutbox } from '@outbox/drizzle/pg'
import { outboxEntries } from '@outbox/drizzle/pg/schema'
import { sql } from 'drizzle-orm'
import { fillBaskets } from './baskets.ts'
import { openServers } from './servers.ts'
import { StreamReader } from './stream-reader.ts'
import { WorkerProcess } from './worker-process.ts'

const firstEvents = 800
const allEvents = 1_000

await using servers = await openServers()
const { db, connection, manager, stream, environment } = servers
const outbox = pgOutbox({ db })
await using reader = await StreamReader.open(connection, stream)

console.log('worker 1 runs while baskets are filled')
using first = new WorkerProcess(environment)
await Promise.all([fillBaskets({ db, outbox }, { from: 1, to: firstEvents }), stopAfter(first, firstEvents / 4)])
await fillBaskets({ db, outbox }, { from: firstEvents + 1, to: allEvents })

console.log('worker 2 goes on where worker 1 stopped')
using second = new WorkerProcess(environment)
await stopAfter(second, allEvents)

console.log(
  `committed ${allEvents}, in the stream ${await inStream()}, still pending ${(await outbox.stats()).pending}`,
)
console.log(`repeats in the stream ${reader.repeats}, out of order ${reader.outOfOrder}`)

/** Sends SIGTERM when so many events are in the stream. @throws {Error} if the worker ends before that */
async function stopAfter(worker: WorkerProcess, events: number): Promise<void> {
  const tooEarly = worker.end.then(({ code }) => {
    throw new Error(`the worker ended by itself, with code ${code}`)
  })
  await Promise.race([reader.readUntil(events), tooEarly])
  const { code, lastWords } = await worker.terminate()
  const repeats = /had (\d+) already/.exec(lastWords)?.[1] ?? 'unknown'
  console.log(`  SIGTERM: exit code ${code}, sent twice: ${repeats}`)
  console.log(`  in the stream and not settled in the outbox: ${(await inStream()) - (await settled())}`)
}

async function inStream(): Promise<number> {
  return (await manager.streams.info(stream)).state.messages
}

/** The outbox's tables may be read; only the outbox writes to them. */
async function settled(): Promise<number> {
  return db.$count(outboxEntries, sql`state = 'published'`)
}
