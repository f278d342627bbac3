import { describePublisher } from '@outbox/conformance'
import { openRecordingPublisher } from './sabotage/publisher-harness.ts'

/** One that keeps no order within a batch, says so, and sends the last entry first. */
describePublisher('a publisher that keeps no order in a batch', {
  capabilities: {
    deduplicates: true,
    limitsPayload: true,
    fences: true,
    fencesPartitions: true,
    probes: true,
    refuses: true,
    outage: true,
    silence: true,
  },
  open: async () =>
    openRecordingPublisher(({ capabilities, publish }) => ({
      capabilities: { ...capabilities, keepsOrderInBatch: false },
      publish: async (entries, options) => (await publish(entries.toReversed(), options)).toReversed(),
    })),
})
