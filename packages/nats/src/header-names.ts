import type { WireField } from '@outbox/core/wire'

/** What JetStream deduplicates on. */
export const messageId = 'Nats-Msg-Id'
/** The stream that must take the message, or it is refused. */
export const expectedStream = 'Nats-Expected-Stream'
/** The stream's sequence of the last message on the same subject, or the message is refused. */
export const expectedLastSubjectSequence = 'Nats-Expected-Last-Subject-Sequence'

/** With `batch: 'atomic'`: the batch that the message belongs to. */
export const batchId = 'Nats-Batch-Id'
/** With `batch: 'atomic'`: the message's place in it, from 1. */
export const batchSequence = 'Nats-Batch-Sequence'
/** With `batch: 'atomic'`: on the last message, which stores them all. */
export const batchCommit = 'Nats-Batch-Commit'

/** The aggregate's sequence, in every format. */
export const sequence = 'Outbox-Sequence'
/** The epoch of the lease that the message was sent under, in every format. */
export const epoch = 'Outbox-Epoch'
/** With `fence: 'subject'`: the outbox whose epochs these are. */
export const source = 'Outbox-Source'
/** With `fence: 'subject'`: the partition that the epoch belongs to. */
export const partition = 'Outbox-Partition'

/** With `fence: 'subject'`: the relay incarnation that held the lease. */
export const holder = 'Outbox-Holder'
/** With `fence: 'subject'`: the stream's sequence of the message before it on its subject, 0 for none. */
export const previous = 'Outbox-Previous'
/** With `fence: 'subject'`: the highest sequence of the aggregate on the subject so far, this message included. */
export const highest = 'Outbox-Highest'

export const contentType = 'Content-Type'
export const structuredContentType = 'application/cloudevents+json'

const fieldNames: Readonly<Record<WireField, string>> = Object.freeze({
  id: 'Outbox-Id',
  'event-type': 'Outbox-Event-Type',
  'aggregate-type': 'Outbox-Aggregate-Type',
  'aggregate-id': 'Outbox-Aggregate-Id',
  sequence,
  epoch,
  'occurred-at': 'Outbox-Occurred-At',
})

/** The header that carries a field of the envelope. */
export function ofField(field: WireField): string {
  return fieldNames[field]
}
