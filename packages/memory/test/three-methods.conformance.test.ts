import { describeOutbox } from '@outbox/conformance'
import { type MemoryTransaction, memoryOutbox } from '../src/index.ts'

describeOutbox<MemoryTransaction>('three methods', {
  capabilities: { concurrentTransactions: true, savepoints: true, waitsForWriters: true },
  async open() {
    const store = memoryOutbox()
    const { enqueue, fetchUnpublished, markPublished } = store
    const outbox = { enqueue, fetchUnpublished, markPublished }
    return {
      outbox,
      transaction: (work) => store.transaction(work),
      savepoint: (tx, work) => tx.transaction(work),
      peer: async () => outbox,
      close: async () => undefined,
    }
  },
})
