import { describeStore } from '@outbox/conformance'
import { openSynchronousStore, type SynchronousTransaction } from './synchronous-store.ts'

// The suite must serve synchronous drivers too.
describeStore<SynchronousTransaction>('a synchronous store', {
  capabilities: {
    concurrentTransactions: { leftOut: 'one connection, one transaction' },
    savepoints: true,
    waitsForWriters: true,
  },
  open: async () => openSynchronousStore(),
})
