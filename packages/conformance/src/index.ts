export type { Capability } from './capability.ts'
export type { Check, Topic } from './check.ts'
export {
  type PublisherCheck,
  type PublisherContext,
  type PublisherTopic,
  withPublisherContext,
} from './publisher/context.ts'
export { describePublisher } from './publisher/describe-publisher.ts'
export type { EndFault, OpenedPublisher, PublisherHarness, PublisherSuiteCapabilities } from './publisher/harness.ts'
export { publisherTopics } from './publisher/topics.ts'
export { type CheckedTransaction, type HeldTransaction, type StoreContext, withStoreContext } from './store/context.ts'
export { describeStore } from './store/describe-store.ts'
export type { OpenedStore, StoreCapabilities, StoreHarness } from './store/harness.ts'
export type { StoreCheck, StoreTopic } from './store/store-check.ts'
export { storeTopics } from './store/topics.ts'
