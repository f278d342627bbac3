import { badInput } from '../outbox/topics/bad-input.ts'
import type { StoreTopic } from './store-check.ts'
import { cancellation } from './topics/cancellation.ts'
import { crashes } from './topics/crashes.ts'
import { deadLetters } from './topics/dead-letters.ts'
import { deadLettersByFilter } from './topics/dead-letters-by-filter.ts'
import { exactness } from './topics/exactness.ts'
import { fairness } from './topics/fairness.ts'
import { fencing } from './topics/fencing.ts'
import { idempotency } from './topics/idempotency.ts'
import { leases } from './topics/leases.ts'
import { limitsTopic } from './topics/limits.ts'
import { numbering } from './topics/numbering.ts'
import { orderTopic } from './topics/order.ts'
import { settling } from './topics/settling.ts'
import { suspects } from './topics/suspects.ts'
import { trait } from './topics/trait.ts'
import { transactions } from './topics/transactions.ts'
import { underLoad } from './topics/under-load.ts'
import { upkeep } from './topics/upkeep.ts'
import { waiting } from './topics/waiting.ts'

/** The store suite, in the order in which a person would want to read it. */
export const storeTopics: readonly StoreTopic[] = [
  trait,
  transactions,
  idempotency,
  numbering,
  orderTopic,
  fairness,
  leases,
  fencing,
  crashes,
  suspects,
  settling,
  waiting,
  deadLetters,
  deadLettersByFilter,
  limitsTopic,
  exactness,
  badInput,
  cancellation,
  upkeep,
  underLoad,
]
