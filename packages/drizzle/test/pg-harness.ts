import { describeInbox, describeStore, type StoreHarness, type TransactionCapabilities } from '@outbox/conformance'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { type Connect, connections, type TestTransaction } from './pg-connections.ts'
import { inboxHarness } from './pg-inbox-harness.ts'

/** The suites of the outbox and of the inbox. Each check has a schema of its own. */
export function describePg(driver: string, can: PgCapabilities, connect: Connect): void {
  const capabilities = { ...can, savepoints: true, waitsForWriters: true } as const
  describeStore(`outbox: ${driver}`, outboxHarness(capabilities, connect))
  describeInbox(`inbox: ${driver}`, inboxHarness(capabilities, connect))
}

type PgCapabilities = Required<Pick<TransactionCapabilities, 'concurrentTransactions' | 'crashes'>>

function outboxHarness(capabilities: TransactionCapabilities, connect: Connect): StoreHarness<TestTransaction> {
  return {
    capabilities,
    async open() {
      const place = { schema: `check ${crypto.randomUUID()}` }
      const { opened, close } = connections(connect)
      const own = await opened()
      await setup(own.db, place)
      return {
        store: pgOutbox({ db: own.db, ...place }),
        ...own.transactions,
        peer: async () => pgOutbox({ db: (await opened()).db, ...place }),
        close,
      }
    },
  }
}
