import type { InboxHarness, TransactionCapabilities } from '@outbox/conformance'
import { pgInbox, setupInbox } from '@outbox/drizzle/pg'
import { type Connect, connections, type TestTransaction } from './pg-connections.ts'

/** In a schema that holds no outbox. */
export function inboxHarness(capabilities: TransactionCapabilities, connect: Connect): InboxHarness<TestTransaction> {
  return {
    capabilities,
    async open() {
      const place = { schema: `check ${crypto.randomUUID()}` }
      const { opened, close } = connections(connect)
      const process = async () => {
        const { db, transactions } = await opened()
        await setupInbox(db, place)
        return { inbox: pgInbox({ db, ...place }), ...transactions }
      }
      return { ...(await process()), peer: process, close }
    },
  }
}
