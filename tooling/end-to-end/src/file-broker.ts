import { open, readFile } from 'node:fs/promises'
import type { Publisher } from '@outbox/core'
import { type ReceivedEntry, receivedFromStructuredCloudEvent, structuredCloudEvent } from '@outbox/core/wire'

/** Appends a line per entry. It drops no repeat and keeps nobody out, so it shows all that relays do. */
export function filePublisher(path: string): Publisher {
  return {
    name: 'file',
    capabilities: { keepsOrderInBatch: true },
    async publish(entries) {
      await using file = await open(path, 'a')
      // a relay that is killed in the middle of its write leaves half a line: a line break keeps it apart
      const lines = Buffer.from(`\n${entries.map(structuredCloudEvent).join('\n')}\n`)
      // one write, so that no other relay's comes into it
      const { bytesWritten } = await file.write(lines)
      if (bytesWritten < lines.length) throw new Error(`${bytesWritten} of ${lines.length} bytes were written`)
      await file.datasync()
      return entries.map(() => ({ status: 'published' }))
    },
  }
}

/** Half a line was never acknowledged: it is no delivery. */
export async function readFileStream(path: string): Promise<readonly ReceivedEntry[]> {
  const lines = (await readFile(path, 'utf8')).split('\n')
  return lines
    .filter((line) => line.endsWith('}') && isJson(line))
    .map((line) => receivedFromStructuredCloudEvent(line))
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
