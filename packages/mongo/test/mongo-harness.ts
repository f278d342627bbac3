import type { StoreHarness } from '@outbox/conformance'
import { mongoOutbox } from '@outbox/mongo'
import { emptied, type Opened, type TestSession, transaction } from './mongo-databases.ts'

export const capabilities = {
  concurrentTransactions: true,
  savepoints: { leftOut: 'MongoDB has no savepoints' },
  waitsForWriters: { leftOut: 'MongoDB tells conflicts at once' },
} as const

/** Two clients of one database that is set up, as two processes have them; it is emptied before each check. */
export interface Clients {
  readonly own: Opened
  readonly other: Opened
}

export function storeHarness(clients: () => Clients): StoreHarness<TestSession> {
  return {
    capabilities,
    async open() {
      const { own, other } = clients()
      await emptied(own)
      return {
        store: mongoOutbox(own),
        transaction: (work) => transaction(own.client, work),
        peer: async () => mongoOutbox(other),
        close: async () => undefined,
      }
    },
  }
}
