/**
 * A relay whose broker is its parent: `relay.ts <url> <database>`. It says what it publishes, one message an entry, and
 * ends when its standard input does.
 */
import { publisher } from '@outbox/core'
import { mongoOutbox } from '@outbox/mongo'
import { createRelay } from '@outbox/relay'
import { MongoClient } from 'mongodb'

const [url = '', name = ''] = process.argv.slice(2)
const client = new MongoClient(url)
const relay = createRelay({
  store: mongoOutbox({ client, db: client.db(name) }),
  publisher: publisher({
    name: 'parent',
    send: ({ id, aggregateId, sequence }) =>
      void process.stdout.write(`${JSON.stringify({ id, aggregateId, sequence })}\n`),
  }),
  batchSize: 40,
  batchSizePerAggregate: 5,
  leaseMs: 2_000,
  maxCrashes: 100, // a machine under load may take leases from a relay that lives
  pollIntervalMs: 150,
  publishTimeoutMs: 500,
})
process.stdin.resume().on('end', () => process.exit())
await relay.start()
