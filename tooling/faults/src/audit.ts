import type { ReceivedEntry } from '@outbox/core/wire'
import { ContentCheck } from '@outbox/end-to-end/content'

/** What the broker holds, held against what the application has committed. */
export interface Audit {
  readonly entries: number
  readonly lost: readonly string[]
  readonly leaked: readonly string[]
  readonly outOfOrder: readonly string[]
  /** have the content of others; not there in runs that did not look */
  readonly altered?: readonly string[]
  readonly dead: number
  readonly repeats: Repeats
}

/** Messages that were there before, by what the epochs say of their cause. */
export interface Repeats {
  /** delivery began again under a newer lease */
  stepBack: number
  /** came late, under a lease older than the newest seen of its aggregate */
  echo: number
  /** again under the same lease: a publish or a settle was not answered */
  unanswered: number
}

/**
 * Reads nothing itself: it is told what was committed, from the application's own table, and what stands in the stream.
 *
 * @param excused - ids that may be in the stream though they are not committed any more: a restored database lost them
 */
export function audit(
  committed: readonly string[],
  stream: readonly ReceivedEntry[],
  dead: ReadonlySet<string>,
  excused: ReadonlySet<string> = new Set(),
): Audit {
  const expected = new Set(committed)
  const firstEpoch = new Map<string, number>()
  const highestSequence = new Map<string, number>()
  const highestEpoch = new Map<string, number>()
  const leaked: string[] = []
  const outOfOrder: string[] = []
  const contents = new ContentCheck()
  const altered = new Set<string>()
  const repeats: Repeats = { stepBack: 0, echo: 0, unanswered: 0 }
  for (const entry of stream) {
    const { id, aggregateType, aggregateId, sequence, epoch } = entry
    if (!contents.isOwn(entry)) altered.add(id)
    const aggregate = `${aggregateType} ${aggregateId}`
    const newest = Math.max(epoch, highestEpoch.get(aggregate) ?? 0)
    highestEpoch.set(aggregate, newest)
    const before = firstEpoch.get(id)
    if (before !== undefined) {
      if (epoch < newest) repeats.echo += 1
      else if (epoch > before) repeats.stepBack += 1
      else repeats.unanswered += 1
      continue
    }
    firstEpoch.set(id, epoch)
    if (!expected.has(id)) {
      if (!excused.has(id)) leaked.push(id)
      continue
    }
    const isInOrder = contents.ascends(entry) && sequence > (highestSequence.get(aggregate) ?? 0)
    if (isInOrder) highestSequence.set(aggregate, sequence)
    else outOfOrder.push(id)
  }
  return {
    entries: expected.size,
    lost: [...expected].filter((id) => !firstEpoch.has(id) && !dead.has(id)),
    leaked,
    outOfOrder,
    altered: [...altered],
    dead: dead.size,
    repeats,
  }
}
