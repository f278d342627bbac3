import type { OutboxTopic } from './context.ts'
import { badInput } from './topics/bad-input.ts'
import { exactness } from './topics/exactness.ts'
import { idempotency } from './topics/idempotency.ts'
import { numbering } from './topics/numbering.ts'
import { trait } from './topics/trait.ts'
import { transactions } from './topics/transactions.ts'

/** The suite of the trait, in the order in which a person would want to read it. */
export const outboxTopics: readonly OutboxTopic[] = [trait, transactions, idempotency, numbering, exactness, badInput]
