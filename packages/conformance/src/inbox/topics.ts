import type { InboxTopic } from './context.ts'
import { asynchronousHandlers } from './topics/asynchronous-handlers.ts'
import { concurrentDeliveries } from './topics/concurrent-deliveries.ts'
import { inboxUpkeep } from './topics/inbox-upkeep.ts'
import { messageIds } from './topics/message-ids.ts'
import { once } from './topics/once.ts'
import { refusals } from './topics/refusals.ts'

/** The inbox suite, in the order in which a person would want to read it. */
export const inboxTopics: readonly InboxTopic[] = [
  once,
  asynchronousHandlers,
  concurrentDeliveries,
  messageIds,
  refusals,
  inboxUpkeep,
]
