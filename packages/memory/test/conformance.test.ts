import { describeStore } from '@outbox/conformance'
import { memoryOutbox } from '../src/index.ts'

describeStore('memory', {
  capabilities: { concurrentTransactions: true },
  async open() {
    const store = memoryOutbox()
    return {
      store,
      transaction: (work) => store.transaction(work),
      savepoint: (tx, work) => tx.transaction(work),
      peer: async () => store, // one process is all there is
      close: async () => undefined,
    }
  },
})
