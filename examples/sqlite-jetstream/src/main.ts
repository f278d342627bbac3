import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { natsPublisher } from '@outbox/nats'
import { createRelay } from '@outbox/relay'
import { HeadOffice } from './head-office.ts'
import { Till } from './till.ts'

await using resources = new AsyncDisposableStack()
const directory = await mkdtemp(join(tmpdir(), 'outbox-example-'))
resources.defer(() => rm(directory, { recursive: true, force: true }))
const till = new Till(join(directory, 'till.db'), 'till 7')
resources.defer(() => till.close())

console.log('no network: the till sells all the same')
till.sell({ article: 'lamp', cents: 4_200 })
till.sell({ article: 'vase', cents: 1_999 })
console.log(`  ${(await till.outbox.stats()).pending} sales wait`)

console.log('the network is there')
const office = resources.use(await HeadOffice.open(`example_${randomUUID().slice(0, 8)}`))
const { connection, subject } = office
// With this fence the stream refuses the late write of a relay that was replaced.
const publisher = resources.use(natsPublisher({ connection, subject, fence: 'subject' }))
const relay = resources.use(
  createRelay({
    store: till.outbox,
    publisher,
    on: {
      warning: ({ message }) => console.error(message),
      error: ({ error, during }) => console.error(during, error),
    },
  }),
)
await relay.start()
till.sell({ article: 'chair', cents: 8_900 })

let count = 0
for await (const { aggregateId, sequence, payload } of office.sales()) {
  console.log(`  ${aggregateId} #${sequence}: ${payload.article}, ${payload.cents} cents`)
  count += 1
  if (count === 3) break
}
