import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import { type ReceivedEntry, receivedFromStructuredCloudEvent, structuredCloudEvent } from '@outbox/core/wire'
import { recordingPublisher } from '@outbox/memory'

/** The recording publisher of this process, where relays of other processes reach it, and outlive none of them. */
export async function serveRecordingPublisher(): Promise<{ readonly url: string } & AsyncDisposable> {
  const recorder = recordingPublisher()
  const answer = async (request: IncomingMessage): Promise<unknown> => {
    if (request.method === 'GET') return recorder.published.map(structuredCloudEvent)
    const entries = entriesIn(await text(request))
    return recorder.publish(entries, { signal: new AbortController().signal })
  }
  const server = createServer((request, response) => {
    answer(request).then(
      (body) => response.end(JSON.stringify(body)),
      // whoever asked was killed, or asked for nonsense
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port')
  return {
    url: `http://127.0.0.1:${address.port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export function publisherTo(url: string): Publisher {
  return {
    name: 'memory',
    capabilities: { keepsOrderInBatch: true },
    async publish(entries, { signal }) {
      const response = await fetch(url, { method: 'POST', body: JSON.stringify(entries), signal })
      if (!response.ok) throw new Error(`the recording publisher answered ${response.status}`)
      // as: written by `serveRecordingPublisher`, above
      return (await response.json()) as PublishOutcome[]
    },
  }
}

export async function readRecorded(url: string): Promise<readonly ReceivedEntry[]> {
  const events = (await (await fetch(url)).json()) as string[]
  return events.map((event) => receivedFromStructuredCloudEvent(event))
}

/** Dates travel as text. */
function entriesIn(body: string): readonly DueEntry[] {
  const entries = JSON.parse(body) as (Omit<DueEntry, 'occurredAt'> & { readonly occurredAt: string })[]
  return entries.map((entry) => ({ ...entry, occurredAt: new Date(entry.occurredAt) }))
}
