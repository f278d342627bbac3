import { describePublisher } from '@outbox/conformance'
import { openRecordingPublisher } from './sabotage/publisher-harness.ts'

describePublisher('recordingPublisher', {
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
  open: async () => openRecordingPublisher(),
})
