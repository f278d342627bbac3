import { describeInbox, type InboxProcess } from '@outbox/conformance'
import type { Connection, Transaction } from '../src/connection.ts'
import { ownInbox } from '../src/inbox.ts'
import { setupInbox } from '../src/tables.ts'
import { capabilities, freshFile } from './files.ts'

describeInbox<Transaction>('own inbox', {
  capabilities,
  async open() {
    const file = freshFile()
    setupInbox(file.connect())
    const opened = (connection: Connection): InboxProcess<Transaction> => ({
      inbox: ownInbox({ connection }),
      transaction: async (work) => connection.transaction(work),
      savepoint: (tx, work) => tx.savepoint(work),
    })
    return {
      ...opened(file.connect()),
      peer: async () => opened(file.connect()),
      close: async () => file.remove(),
    }
  },
})
