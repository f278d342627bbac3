import { describeOutbox, describeStore, type StoreHarness } from '@outbox/conformance'
import type { Transaction } from '../src/connection.ts'
import { ownOutbox } from '../src/outbox.ts'
import { setup } from '../src/tables.ts'
import { capabilities, freshFile } from './files.ts'

// #region harness
const harness: StoreHarness<Transaction> = {
  capabilities,
  async open() {
    const file = freshFile()
    const connection = file.connect()
    setup(connection)
    return {
      store: ownOutbox({ connection }),
      transaction: async (work) => connection.transaction(work),
      savepoint: (tx, work) => tx.savepoint(work),
      peer: async () => ownOutbox({ connection: file.connect() }),
      close: async () => file.remove(),
    }
  },
}

describeStore('own store', harness)
// #endregion

describeOutbox<Transaction>('own store, its three methods alone', {
  ...harness,
  async open() {
    const { store, ...opened } = await harness.open()
    return { ...opened, outbox: store }
  },
})
