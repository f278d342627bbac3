import { connect as connect3 } from '@nats-io/transport-node'
import { connect as connect2 } from 'nats'
import { natsPublisher } from '../src/index.ts'
import { dueEntry, statuses } from './support.ts'

/**
 * A process that publishes and closes its connection, and nothing else: it must end by itself.
 *
 * Arguments: the server's URL, the major version of the client.
 */
const [servers = '', library] = process.argv.slice(2)
const connection = library === '2' ? await connect2({ servers }) : await connect3({ servers })
const publisher = natsPublisher({ connection, subject: 'events.{aggregateId}', ackTimeoutMs: 600_000 })
process.stdout.write(`${JSON.stringify(await statuses(publisher, [dueEntry()]))}\n`)
await connection.close()
