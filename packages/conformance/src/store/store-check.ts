import type { Check, Topic } from '../check.ts'
import type { TransactionNeeds } from '../transactions.ts'
import type { StoreContext } from './context.ts'

export type StoreCheck = Check<StoreContext, TransactionNeeds>
export type StoreTopic = Topic<StoreContext, TransactionNeeds>
