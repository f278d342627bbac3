import { describePublisher } from '@outbox/conformance'
import { openRecordingPublisher } from './sabotage/publisher-harness.ts'

const capabilities = {
  deduplicates: true,
  limitsPayload: true,
  fences: true,
  fencesPartitions: true,
  probes: true,
  refuses: true,
  outage: true,
  silence: true,
} as const

describePublisher('recordingPublisher', { capabilities, open: async () => openRecordingPublisher() })

/** One that keeps no order within a batch, says so, and sends the last entry first. */
describePublisher('a publisher that keeps no order in a batch', {
  capabilities,
  open: async () =>
    openRecordingPublisher((given) => ({
      capabilities: { ...given.capabilities, keepsOrderInBatch: false },
      publish: async (entries, options) => (await given.publish(entries.toReversed(), options)).toReversed(),
    })),
})
