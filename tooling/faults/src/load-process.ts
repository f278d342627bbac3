import { setTimeout as wait } from 'node:timers/promises'
import { OutboxError } from '@outbox/core'
import { eventWriter } from '@outbox/end-to-end/content'
import { openStore, type StoreAddress } from '@outbox/end-to-end/stores'

/** What a producer process is told, as JSON in its first argument. */
export interface LoadProcessOptions {
  readonly store: StoreAddress
  readonly aggregates: number
  readonly entriesPerSecond: number
  /** an event of this type is written once, when the process begins */
  readonly special?: { readonly type: string; readonly payloadBytes: number }
}

const entriesPerTransaction = 20
const options = JSON.parse(process.argv[2] ?? '{}') as LoadProcessOptions
process.stdout.write(`${JSON.stringify({ kind: 'began', by: 'producer', clock: Date.now() })}\n`)
const application = await openStore(options.store)
let isOver = false
process.once('SIGTERM', () => {
  isOver = true
})
process.stdin.once('end', () => process.exit(1)).resume() // whoever started it is gone

const anAggregate = (): string => `order-${Math.floor(Math.random() * options.aggregates)}`
const write = eventWriter()
const change = () => write(anAggregate(), 'order.changed', { note: 'x'.repeat(200) })

if (options.special) {
  const { type, payloadBytes } = options.special
  await application.commit(write(anAggregate(), type, { note: 'x'.repeat(payloadBytes) }))
}
let next = performance.now()
while (!isOver) {
  try {
    await application.commit(...Array.from({ length: entriesPerTransaction }, change))
  } catch (error) {
    // an application would try its transaction again; whether a failed one has committed, the database knows
    if (!isPassing(error)) throw error
    await wait(100)
  }
  next = Math.max(next + (1_000 * entriesPerTransaction) / options.entriesPerSecond, performance.now() - 1_000)
  await wait(Math.max(0, next - performance.now()))
}
process.exit(0) // connections end with the process: the database may be away, and all is said already

/** What faults do to producers: an outbox error that may pass, or whatever a driver throws while it has no server. */
function isPassing(error: unknown): boolean {
  return OutboxError.is(error) ? error.isRetryable : error instanceof Error
}
