import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DueEntry } from '@outbox/core'
import { expect, test } from 'vitest'
import { fileBroker } from '../src/brokers/file.ts'

test('large batches of relays that write at once do not mix in the file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-demo-'))
  try {
    const batches = Array.from({ length: 4 }, () => Array.from({ length: 100 }, dueEntry))
    const { signal } = new AbortController()
    // as relays in processes of their own: each opens the file for itself
    const publish = ([index, batch]: [number, DueEntry[]]) =>
      fileBroker(directory, `relay-${index}`).publisher.publish(batch, { signal })
    const outcomes = await Promise.all([...batches.entries()].map(publish))
    expect(outcomes.flat().every(({ status }) => status === 'published')).toBe(true)

    const delivered = (await fileBroker(directory, 'nobody').readBack()).map(({ id }) => id)
    const written = batches.flat().map(({ id }) => id)
    expect(delivered.toSorted()).toEqual(written.toSorted())
  } finally {
    await rm(directory, { recursive: true })
  }
})

function dueEntry(): DueEntry {
  const id = randomUUID()
  return {
    ...{ id, deduplicationId: id, eventType: 'order.placed', aggregateType: 'order', aggregateId: 'order-1' },
    ...{ sequence: 1, occurredAt: new Date(), payload: JSON.stringify('x'.repeat(30_000)), headers: {} },
    ...{ source: 'demo', attempt: 1, crashes: 0, isLate: false, lease: { partition: 0, epoch: 1, holder: 'relay' } },
  }
}
