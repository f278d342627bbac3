import { describeInbox, describeStore } from '@outbox/conformance'
import { type MemoryOutboxOptions, type MemoryTransaction, memoryInbox, memoryOutbox } from '../src/index.ts'

const waits = { concurrentTransactions: true, savepoints: true, waitsForWriters: true } as const
const tells = { ...waits, waitsForWriters: { leftOut: 'conflicts are told at once' } } as const

function open(options: MemoryOutboxOptions) {
  const store = memoryOutbox(options)
  return {
    store,
    transaction: <T>(work: (tx: MemoryTransaction) => T | PromiseLike<T>) => store.transaction(work),
    savepoint: <T>(tx: MemoryTransaction, work: (tx: MemoryTransaction) => T | PromiseLike<T>) => tx.transaction(work),
    peer: async () => store, // one process is all there is
    close: async () => undefined,
  }
}

for (const [name, onConflict, capabilities] of [
  ['memory', 'wait', waits],
  ['memory that tells conflicts', 'busy', tells],
] as const) {
  describeStore<MemoryTransaction>(name, { capabilities, open: async () => open({ onConflict }) })
  describeInbox<MemoryTransaction>(`an inbox in ${name}`, {
    capabilities,
    async open() {
      const { store, ...transactions } = open({ onConflict })
      const process = () => ({ ...transactions, inbox: memoryInbox({ outbox: store }) })
      return { ...process(), peer: async () => process() }
    },
  })
}
