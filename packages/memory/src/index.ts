export { type MemoryInbox, type MemoryInboxOptions, memoryInbox } from './memory-inbox.ts'
export { type MemoryOutbox, type MemoryOutboxOptions, memoryOutbox } from './memory-outbox.ts'
export { type RecordingOutbox, recordingOutbox } from './recording-outbox.ts'
export {
  type PublisherScript,
  type RecordingPublisher,
  type RecordingPublisherOptions,
  recordingPublisher,
  type ScriptedOutcome,
} from './recording-publisher.ts'
export type { MemoryTransaction } from './transaction.ts'
