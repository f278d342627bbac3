import { memoryOutbox } from '@outbox/memory'
import { describeModel } from '../src/index.ts'

describeModel('the store in memory', async () => {
  const store = memoryOutbox()
  return { store, transaction: store.transaction, isWaiting: async () => true, close: async () => undefined }
})
