import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import type { RecordingPublisher } from '../../src/index.ts'
import type { BrokenBy } from './broken-by.ts'
import type { PublisherSabotage } from './publisher-harness.ts'

export type PublisherSaboteur = BrokenBy<PublisherSabotage>

/** A publisher that answers something else than happened. */
export function answering(
  publisher: RecordingPublisher,
  change: (outcomes: readonly PublishOutcome[]) => readonly PublishOutcome[],
): Pick<Publisher, 'publish'> {
  return { publish: async (entries, options) => change(await publisher.publish(entries, options)) }
}

/** A publisher that sends something else than it was given. */
export function sending(
  publisher: RecordingPublisher,
  change: (entries: readonly DueEntry[]) => readonly DueEntry[],
): Pick<Publisher, 'publish'> {
  return { publish: (entries, options) => publisher.publish(change(entries), options) }
}
