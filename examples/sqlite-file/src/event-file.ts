import { type FileHandle, open, readFile } from 'node:fs/promises'
import { type DueEntry, type Publisher, publisher } from '@outbox/core'
import { type ReceivedEntry, receivedFromStructuredCloudEvent, structuredCloudEvent } from '@outbox/core/wire'

/**
 * A publisher of your own is one function that sends one event: here it adds a line to a file, a CloudEvent as JSON.
 *
 * Any number of lanes and processes may append to one file on a local disk. Machines may not share it.
 */
export function filePublisher(path: string): Publisher {
  return publisher({
    name: 'file',
    concurrency: 1, // of one batch; other lanes append at the same time, each line in one write
    send: async (entry) => {
      await using file = await open(path, 'a')
      await writeLine(file, entry)
    },
  })
}

async function writeLine(file: FileHandle, entry: DueEntry): Promise<void> {
  const event = structuredCloudEvent(entry).replaceAll('\n', ' ') // JSON has line breaks between values only
  // A process killed in the middle of a write leaves half a line: the line break in front keeps the next one apart.
  const line = Buffer.from(`\n${event}\n`)
  // One write, so that no other line comes into it: `appendFile` would cut a large one into several.
  const { bytesWritten } = await file.write(line)
  if (bytesWritten < line.length)
    throw new Error(`${bytesWritten} of ${line.length} bytes were written: is the disk full?`)
  await file.sync() // returning means published, so it is on the disk by then
}

/** The events of the file, as they stand there. */
export async function* readEvents<Payload>(path: string): AsyncGenerator<ReceivedEntry<Payload>, void> {
  const text = await readFile(path, 'utf8')
  // not by `readLines()`, for which a line ends at U+2028 and U+2029 as well: JSON may hold them
  for (const line of text.split('\n')) {
    if (isWhole(line)) yield receivedFromStructuredCloudEvent<Payload>(line)
  }
}

/** Half a line was never acknowledged: its event was written again, whole. */
function isWhole(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
