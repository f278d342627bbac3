import { eventWriter } from './content.ts'
import { openStore, type StoreAddress } from './stores.ts'

/** What a producer process is told, as JSON in its first argument. */
export interface ProducerProcessOptions {
  readonly store: StoreAddress
  readonly aggregates: readonly string[]
  readonly transactions: number
  /** waits for a line on standard input before each transaction, so that a test decides whose turn it is */
  readonly isStepped?: boolean
  /** stays in the middle of its first transaction, events written, until it is killed */
  readonly hangsInTransaction?: boolean
}

const tell = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

const options = JSON.parse(process.argv[2] ?? '{}') as ProducerProcessOptions
const application = await openStore(options.store)
const change = eventWriter()
const turns = process.stdin[Symbol.asyncIterator]()

for (let turn = 0; turn < options.transactions; turn++) {
  if (options.isStepped) await turns.next()
  const events = options.aggregates.map((aggregateId) => change(aggregateId))
  if (options.hangsInTransaction) {
    await application.write(events, () => {
      tell({ kind: 'enqueued' })
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) // for ever
    })
  }
  const receipts = await application.commit(...events)
  tell({ kind: 'committed', receipts, at: new Date().toISOString() })
}
await application[Symbol.asyncDispose]()
process.exit(0)
