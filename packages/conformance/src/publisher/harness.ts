import type { Publisher } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { Capability } from '../capability.ts'

/**
 * What the suite needs to know of a publisher and its broker.
 *
 * @example
 * ```ts
 * describePublisher('my broker', {
 *   capabilities: {
 *     deduplicates: true,
 *     limitsPayload: true,
 *     fences: { leftOut: 'the broker cannot compare' },
 *     fencesPartitions: { leftOut: 'the broker cannot compare' },
 *     probes: true,
 *     refuses: true,
 *     outage: true,
 *     silence: { leftOut: 'no proxy here' },
 *   },
 *   async open() {
 *     const topic = await freshTopic()
 *     return {
 *       publisher: myPublisher({ topic }),
 *       peer: async () => myPublisher({ topic }),
 *       received: async () => (await topic.readAll()).map(decodeMyMessage),
 *       refuse: (aggregateId) => topic.forbid(aggregateId),
 *       outage: () => topic.server.stop(),
 *       close: () => topic.drop(),
 *     }
 *   },
 * })
 * ```
 */
export interface PublisherHarness {
  readonly capabilities: PublisherSuiteCapabilities
  /** A fresh publisher to an empty destination. Called once per check. */
  open(): Promise<OpenedPublisher>
}

export interface PublisherSuiteCapabilities {
  /** A repeat of a `deduplicationId` within the window is dropped, and answered as a duplicate. */
  readonly deduplicates: Capability
  /** The publisher says what payload is too large: `capabilities.maxPayloadBytes`. */
  readonly limitsPayload: Capability
  /** A write under an older epoch than the newest that the broker has seen of the same aggregate is refused. */
  readonly fences: Capability
  /** So is one of another aggregate of the partition, or one under the same epoch by another holder. */
  readonly fencesPartitions: Capability
  /** The publisher has `probe`. */
  readonly probes: Capability
  /** The harness can make the broker refuse one aggregate: `refuse`. */
  readonly refuses: Capability
  /** The harness can take the broker away and bring it back: `outage`. */
  readonly outage: Capability
  /** The harness can make the broker silent, the connection staying open: `silence`. */
  readonly silence: Capability
}

/** Ends a fault; resolves when the broker works again as before. */
export type EndFault = () => Promise<void>

/** One publisher and its destination, as a check sees them. */
export interface OpenedPublisher {
  readonly publisher: Publisher
  /** Every message that the destination holds now, decoded, in the order of arrival (per aggregate at least). */
  received(): Promise<readonly ReceivedEntry[]>
  /** From now on the broker refuses every message of this aggregate, and takes those of others. */
  refuse?(aggregateId: string): Promise<EndFault>
  /** From now on the broker cannot be reached. Resolves once the publisher's connection has noticed, if it ever does. */
  outage?(): Promise<EndFault>
  /** From now on the broker answers nothing, while connections stay open. */
  silence?(): Promise<EndFault>
  /** Another publisher to the same destination, as another process would have it. */
  peer(): Promise<Publisher>
  /** Removes everything that `open` and `peer` made. */
  close(): Promise<void>
}
