export type { Capability } from './capability.ts'
export type { Check, Topic } from './check.ts'
export type { HeldTransaction } from './checked-transactions.ts'
export { type Guarantee, guarantees } from './guarantees.ts'
export {
  type CheckedConsumer,
  type HeldInboxTransaction,
  type InboxCheck,
  type InboxContext,
  type InboxTopic,
  type InboxTransaction,
  withInboxContext,
} from './inbox/context.ts'
export { describeInbox } from './inbox/describe-inbox.ts'
export type { InboxHarness, InboxProcess, OpenedInbox } from './inbox/harness.ts'
export { inboxTopics } from './inbox/topics.ts'
export {
  type CheckedTransaction,
  type HeldProducer,
  type OutboxCheck,
  type OutboxContext,
  type OutboxTopic,
  type Producer,
  type Reading,
  withOutboxContext,
} from './outbox/context.ts'
export { describeOutbox } from './outbox/describe-outbox.ts'
export type { OpenedOutbox, OutboxHarness } from './outbox/harness.ts'
export { outboxTopics } from './outbox/topics.ts'
export {
  type PublisherCheck,
  type PublisherContext,
  type PublisherTopic,
  withPublisherContext,
} from './publisher/context.ts'
export { describePublisher } from './publisher/describe-publisher.ts'
export type { EndFault, OpenedPublisher, PublisherHarness, PublisherSuiteCapabilities } from './publisher/harness.ts'
export { publisherTopics } from './publisher/topics.ts'
export { type StoreContext, withStoreContext } from './store/context.ts'
export { describeStore } from './store/describe-store.ts'
export type { OpenedStore, StoreHarness } from './store/harness.ts'
export type { StoreCheck, StoreTopic } from './store/store-check.ts'
export { storeTopics } from './store/topics.ts'
export type { OpenedTransactions, TransactionCapabilities, TransactionNeeds } from './transactions.ts'
