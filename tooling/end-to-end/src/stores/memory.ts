import type { DomainEvent, Receipt } from '@outbox/core'
import { memoryOutbox } from '@outbox/memory'
import type { Application } from '../application.ts'

/** An application whose table is a list, filled when the transaction has committed. */
export function openMemory(): Application {
  const outbox = memoryOutbox()
  const committed: string[] = []
  const write = async (events: readonly DomainEvent[], beforeEnd: () => void): Promise<readonly Receipt[]> => {
    const receipts = await outbox.transaction(async (tx) => {
      const written = await outbox.enqueue(tx, events)
      beforeEnd()
      return written
    })
    committed.push(...receipts.map(({ id }) => id))
    return receipts
  }
  return {
    outbox,
    write,
    commit: (...events) => write(events, () => undefined),
    committed: async () => committed,
    endings: async () => [],
    [Symbol.asyncDispose]: async () => undefined,
  }
}
