export { aggregateKey, groupByAggregate } from '../aggregates.ts'
export { groupedBy } from '../grouped.ts'
export {
  type EntryOptions,
  entriesFrom,
  inWriteOrder,
  mixedSequences,
  sequenceConflict,
} from '../new-entry.ts'
export { invalidOption, knownOptions, requireCount, requireMs, shown } from '../options.ts'
export { publishInOrder } from '../publish-in-order.ts'
export { entriesToWrite, receiptsFor, type Stored } from './batch.ts'
export { bulkDeadLetters } from './bulk-dead-letters.ts'
export { callbackFailed, called } from './called.ts'
export { deduplicationIdOf, requeuesOf } from './deduplication.ts'
export { checkDelivery, checkHandled, endedUnderHandler, isThenable } from './delivery.ts'
export { firstWords } from './first-words.ts'
export { inTurns, type Standing } from './in-turns.ts'
export { checkedPurge } from './purge-request.ts'
export { refusal } from './refusal.ts'
export { requireName } from './require-name.ts'
export { retryWaitMs } from './retry-wait.ts'
export { suspectAt } from './suspects.ts'
export { Turns } from './turns.ts'
export { untilAborted } from './until-aborted.ts'
