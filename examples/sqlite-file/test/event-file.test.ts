import { randomUUID } from 'node:crypto'
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DueEntry } from '@outbox/core'
import { expect, test } from 'vitest'
import { filePublisher, readEvents } from '../src/event-file.ts'

test('an event comes back whatever stands in it, and half a line before it does it no harm', async () => {
  await using file = await temporaryFile()
  await appendFile(file.path, '\n{"specversion":"1.0","id"')
  const text = 'pasted\u2028from a\u2029page\nof lines\r\nand \u0085 more'
  const entries = [JSON.stringify({ text }), '{\n  "pretty": true\r\n}'].map((payload) => dueEntry(payload, { text }))
  await publish(file.path, entries)

  const events = await Array.fromAsync(readEvents(file.path))
  expect(events.map(({ id, payload, headers }) => ({ id, payload, headers }))).toEqual([
    { id: entries[0]?.id, payload: { text }, headers: { text } },
    { id: entries[1]?.id, payload: { pretty: true }, headers: { text } },
  ])
})

test('large events of publishers that append at once do not mix', async () => {
  await using file = await temporaryFile()
  const payload = JSON.stringify('x'.repeat(1_000_000))
  const batches = Array.from({ length: 4 }, () => Array.from({ length: 5 }, () => dueEntry(payload)))
  await Promise.all(batches.map((entries) => publish(file.path, entries)))

  const read = (await Array.fromAsync(readEvents(file.path))).map(({ id }) => id)
  const written = batches.flat().map(({ id }) => id)
  expect(read.toSorted()).toEqual(written.toSorted())
})

/** By a publisher of its own, as another process would have. */
async function publish(path: string, entries: readonly DueEntry[]): Promise<void> {
  const outcomes = await filePublisher(path).publish(entries, { signal: new AbortController().signal })
  expect(outcomes).toEqual(entries.map(() => ({ status: 'published' })))
}

function dueEntry(payload: string, headers: Readonly<Record<string, string>> = {}): DueEntry {
  const id = randomUUID()
  return {
    ...{ id, deduplicationId: id, eventType: 'order.placed', aggregateType: 'order', aggregateId: 'order-1' },
    ...{ sequence: 1, occurredAt: new Date(), payload, headers, source: 'shop', attempt: 1, crashes: 0 },
    ...{ isLate: false, lease: { partition: 0, epoch: 1, holder: 'relay' } },
  }
}

async function temporaryFile(): Promise<AsyncDisposable & { readonly path: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-example-'))
  return {
    path: join(directory, 'events.jsonl'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}
