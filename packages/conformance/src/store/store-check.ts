import type { Check, Topic } from '../check.ts'
import type { StoreContext } from './context.ts'
import type { StoreCapabilities } from './harness.ts'

export type StoreCheck = Check<StoreContext, keyof StoreCapabilities>
export type StoreTopic = Topic<StoreContext, keyof StoreCapabilities>
