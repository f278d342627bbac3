import { type FileHandle, open } from 'node:fs/promises'
import { type DueEntry, type Publisher, publisher } from '@outbox/core'
import { type ReceivedEntry, receivedFromStructuredCloudEvent, structuredCloudEvent } from '@outbox/core/wire'

/** A publisher of your own is one function that sends one event: here it adds a line to a file, a CloudEvent as JSON. */
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
  // A process killed in the middle of a write leaves half a line: the line break in front keeps the next one apart.
  await file.appendFile(`\n${structuredCloudEvent(entry)}\n`)
  await file.sync() // returning means published, so it is on the disk by then
}

/** The events of the file, as they stand there. */
export async function* readEvents<Payload>(path: string): AsyncGenerator<ReceivedEntry<Payload>, void> {
  await using file = await open(path)
  for await (const line of file.readLines()) {
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
