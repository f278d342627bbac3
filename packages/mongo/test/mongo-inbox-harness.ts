import type { InboxHarness } from '@outbox/conformance'
import { mongoInbox } from '@outbox/mongo'
import { emptied, type Opened, type TestSession, transaction } from './mongo-databases.ts'
import { type Clients, capabilities } from './mongo-harness.ts'

export function inboxHarness(clients: () => Clients): InboxHarness<TestSession> {
  const processOf = ({ client, db }: Opened) => ({
    inbox: mongoInbox({ client, db }),
    transaction: <T>(work: (session: TestSession) => T | PromiseLike<T>) => transaction(client, work),
  })
  return {
    capabilities,
    async open() {
      const { own, other } = clients()
      await emptied(own)
      return { ...processOf(own), peer: async () => processOf(other), close: async () => undefined }
    },
  }
}
