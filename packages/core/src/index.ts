export { type Clock, systemClock } from './clock.ts'
export type { DueEntry, EntryContent, Headers, Lease, NewEntry, OutboxEntry } from './entry.ts'
export { type EventEnvelope, entryFromEnvelope } from './envelope.ts'
export {
  type AnyOutboxError,
  type ErrorCode,
  type ErrorDetails,
  OutboxError,
  permanent,
  unanswered,
  unavailable,
} from './errors.ts'
export { type DomainEvent, event, type PayloadOf } from './event.ts'
export { type IdSources, isUuid, uuidv7Generator } from './ids.ts'
export type { Inbox, InboxStore } from './inbox.ts'
export type { Invalid, Jsonable, JsonText } from './json.ts'
export { limits } from './limits.ts'
export type { Enqueueable, OneOrMany } from './new-entry.ts'
export type { Awaitable, CallOptions, Enqueue, Outbox, OutboxSource, Receipt } from './outbox.ts'
export { partitionCount, partitionHash, partitionOf } from './partition.ts'
export {
  type Publisher,
  type PublisherCapabilities,
  type PublishOutcome,
  publisher,
  type SendPublisherOptions,
} from './publisher.ts'
export type {
  DeadLetter,
  DeadLetterFilter,
  DeadLetters,
  FetchRequest,
  GrantedLease,
  LeaseClaim,
  LeasedSource,
  LeaseState,
  OutboxStore,
  PartitionStats,
  Poll,
  RelayBeat,
  Settlement,
  SettleRequest,
  StoreStats,
  Wake,
} from './store.ts'
