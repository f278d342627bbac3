import { pgOutbox } from '@outbox/drizzle/pg'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { deposit, open, Refused, withdraw } from './account.ts'
import { Accounts } from './accounts.ts'
import { followBalances, startFromBeginning } from './balance-projection.ts'
import { openServers } from './servers.ts'

await using servers = await openServers()
const { db, redis, consumerRedis, stream } = servers
const outbox = pgOutbox({ db })
const accounts = new Accounts({
  db,
  outbox,
  onConflict: (version) => console.log(`  version ${version} is taken: load and decide again`),
})
await using relay = createRelay({
  store: outbox,
  publisher: redisPublisher({ client: redis, stream }),
  onDead: 'block', // the consumer takes a version below the last one for a repeat
  on: {
    warning: ({ message }) => console.error(message),
    error: ({ error, during }) => console.error(during, error),
  },
})
await relay.start()

await accounts.change('account-1', (account) => open(account, 10_000))
await accounts.change('account-2', (account) => open(account, 500))
console.log('account-1 opened with 10000, account-2 with 500')

console.log('two deposits of 700 to account-1 at once')
const bothLoaded = meetingOf(2)
const depositTogether = async (): Promise<void> => {
  await accounts.change('account-1', async (account) => {
    await bothLoaded()
    return deposit(account, 700)
  })
}
await Promise.all([depositTogether(), depositTogether()])
console.log(`  both are done: ${(await accounts.load('account-1')).balanceCents}`)

console.log('two withdrawals of 8000 from account-1 at once')
const bothAgree = meetingOf(2)
const withdrawTogether = async (): Promise<string> => {
  try {
    await accounts.change('account-1', async (account) => {
      await bothAgree()
      return withdraw(account, 8_000)
    })
    return 'done'
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return `refused, for ${error.message}`
  }
}
const outcomes = await Promise.all([withdrawTogether(), withdrawTogether()])
console.log(`  one is ${outcomes.toSorted().join(', the other ')}`)

for (const title of ['the balances as a consumer sees them', 'the consumer lost its place and begins again']) {
  console.log(`\n${title}`)
  await startFromBeginning(consumerRedis, stream)
  const lines: string[] = []
  for await (const line of followBalances(db, consumerRedis, stream)) {
    if (lines.push(line) === 5) break
  }
  // sorted, for there is an order within an account, and none between two
  for (const line of lines.toSorted()) console.log(`  ${line}`)
}

/** Lets the first callers go on together, once `count` of them have come; whoever comes later goes on at once. */
function meetingOf(count: number): () => Promise<void> {
  const allHere = Promise.withResolvers<void>()
  let here = 0
  return () => {
    here += 1
    if (here === count) allHere.resolve()
    return allHere.promise
  }
}
