import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DueEntry, Publisher } from '@outbox/core'
import type { Delivery, DemoBroker } from './broker.ts'

/** A broker in a few lines: a file of JSON lines that only grows. It drops no repeats, so the audit sees them all. */
export function fileBroker(directory: string, relay: string): DemoBroker {
  const path = join(directory, 'broker.jsonl')
  return {
    publisher: filePublisher(path, relay),
    readBack: async () => (await readFile(path, 'utf8')).split('\n').flatMap(parseLine),
    setUp: async () => (await open(path, 'a')).close(),
    cleanUp: async () => undefined,
    close: async () => undefined,
  }
}

function filePublisher(path: string, relay: string): Publisher {
  return {
    name: 'file',
    capabilities: { keepsOrderInBatch: true },
    async publish(entries) {
      await using file = await open(path, 'a')
      // A relay killed in the middle of its write leaves half a line: beginning with a line break keeps it apart.
      const lines = Buffer.from(`\n${entries.map((entry) => lineOf(entry, relay)).join('\n')}\n`)
      // One write, so that no other relay's comes into it: `appendFile` would cut a large batch into several.
      const { bytesWritten } = await file.write(lines)
      if (bytesWritten < lines.length) throw new Error(`${bytesWritten} of ${lines.length} bytes were written`)
      await file.datasync()
      return entries.map(() => ({ status: 'published' }))
    },
  }
}

function lineOf(entry: DueEntry, relay: string): string {
  const { id, aggregateId, sequence, lease } = entry
  const envelope = JSON.stringify({ id, orderId: aggregateId, sequence, epoch: lease.epoch, relay })
  return `${envelope.slice(0, -1)},"payload":${entry.payload}}`
}

/** Half a line was never acknowledged: it is no delivery. */
function parseLine(line: string): Delivery[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as Delivery]
  } catch {
    return []
  }
}
