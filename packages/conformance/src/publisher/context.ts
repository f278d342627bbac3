import { type DueEntry, type Publisher, type PublishOutcome, partitionOf } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { ReceivedEntry } from '@outbox/core/wire'
import { expect } from 'vitest'
import type { Check, Topic } from '../check.ts'
import { places } from '../places.ts'
import { publishAsARelay } from './as-a-relay.ts'
import type { EndFault, OpenedPublisher, PublisherSuiteCapabilities } from './harness.ts'

export type PublisherCheck = Check<PublisherContext, keyof PublisherSuiteCapabilities>
export type PublisherTopic = Topic<PublisherContext, keyof PublisherSuiteCapabilities>

/** One fresh publisher and what checks do with it. */
export interface PublisherContext {
  readonly publisher: Publisher
  /** An entry as a store would lend it, of this check's own outbox. */
  entry(aggregateId: string, sequence: number, extras?: Partial<DueEntry>): DueEntry
  /**
   * Publishes as a relay would, in several calls where the publisher keeps no order in a batch; checks that there is one
   * outcome per entry, and that aggregates stop at a failure.
   */
  publish(
    entries: readonly DueEntry[],
    options?: { readonly signal?: AbortSignal; readonly through?: Publisher },
  ): Promise<readonly PublishOutcome[]>
  received(): Promise<readonly ReceivedEntry[]>
  peer(): Promise<Publisher>
  /** Starts a fault of the harness; it is ended after the check if the check did not. */
  fault(kind: 'outage' | 'silence'): Promise<EndFault>
  refuse(aggregateId: string): Promise<EndFault>
}

/** Opens what the harness has, runs one check, and ends and closes everything, whatever happens. */
export async function withPublisherContext(
  open: () => Promise<OpenedPublisher>,
  work: (context: PublisherContext) => Promise<void>,
): Promise<void> {
  const opened = await open()
  const faults = new Set<EndFault>()
  try {
    await work(publisherContext(opened, faults))
  } finally {
    // What goes wrong here is not told: the check's own error is the one to read.
    await Promise.allSettled([...faults].map((end) => end()))
    await opened.close()
  }
}

function publisherContext(opened: OpenedPublisher, faults: Set<EndFault>): PublisherContext {
  const { publisher } = opened
  const source = crypto.randomUUID()

  const started = async (name: string, fault: Promise<EndFault> | undefined): Promise<EndFault> => {
    if (!fault) throw new Error(`The harness declares the capability, and gives no ${name}().`)
    const end = await fault
    const once: EndFault = async () => {
      if (faults.delete(once)) await end()
    }
    faults.add(once)
    return once
  }

  return {
    publisher,
    entry: (aggregateId, sequence, extras) => dueEntry(source, aggregateId, sequence, extras),
    async publish(entries, options = {}) {
      const { signal = new AbortController().signal, through = publisher } = options
      const outcomes = await publishAsARelay(through, entries, signal)
      expectStoppedAtFailure(entries, outcomes)
      return outcomes
    },
    received: () => opened.received(),
    peer: () => opened.peer(),
    fault: (kind) => started(kind, opened[kind]?.()),
    refuse: (aggregateId) => started('refuse', opened.refuse?.(aggregateId)),
  }
}

function dueEntry(source: string, aggregateId: string, sequence: number, extras: Partial<DueEntry> = {}): DueEntry {
  const { id = crypto.randomUUID(), aggregateType = 'order' } = extras
  return {
    id,
    eventType: 'order.placed',
    aggregateType,
    aggregateId,
    sequence,
    occurredAt: new Date('2025-06-07T08:09:10.011Z'),
    payload: JSON.stringify({ aggregateId, sequence }),
    headers: {},
    lease: { partition: partitionOf(aggregateType, aggregateId), epoch: 1, holder: `holder of ${source}` },
    source,
    attempt: 1,
    crashes: 0,
    deduplicationId: id,
    isLate: false,
    ...extras,
  }
}

/**
 * After the first outcome of an aggregate that is not `published`, the rest of it was not sent. What was sent together
 * with an entry that got no answer may have got none either.
 */
function expectStoppedAtFailure(entries: readonly DueEntry[], outcomes: readonly PublishOutcome[]): void {
  const last = new Map<string, PublishOutcome['status']>()
  entries.forEach((entry, index) => {
    const key = aggregateKey(entry)
    const status = outcomes[index]?.status ?? 'notSent'
    const before = last.get(key) ?? 'published'
    if (before !== 'published') {
      const allowed = before === 'unknown' ? ['unknown', 'notSent'] : ['notSent']
      expect(allowed, `${places([entry])} follows '${before}' of its aggregate`).toContain(status)
    }
    last.set(key, status)
  })
}

export function statuses(outcomes: readonly PublishOutcome[]): readonly string[] {
  return outcomes.map(({ status }) => status)
}

/** Shows that the destination holds these entries and no others, those of each aggregate in this order. */
export function expectReceived(messages: readonly ReceivedEntry[], entries: readonly DueEntry[]): void {
  const byAggregate = (found: readonly { readonly aggregateId: string; readonly sequence: number }[]) =>
    Object.fromEntries(
      [...new Set(found.map(({ aggregateId }) => aggregateId))]
        .toSorted()
        .map((id) => [id, found.filter((each) => each.aggregateId === id).map(({ sequence }) => sequence)]),
    )
  expect(byAggregate(messages)).toEqual(byAggregate(entries))
}
