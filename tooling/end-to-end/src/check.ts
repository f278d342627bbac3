import type { ReceivedEntry } from '@outbox/core/wire'
import { ContentCheck } from './content.ts'

/** What a broker's stream shows when it is held against what was committed. */
export interface Findings {
  readonly lost: readonly string[]
  readonly leaked: readonly string[]
  readonly outOfOrder: readonly string[]
  /** has the content of another, or none that tells */
  readonly altered: readonly string[]
  readonly repeats: readonly string[]
}

/**
 * First deliveries must ascend per aggregate, by their sequences and by what their writers counted, be exactly what was
 * committed, and every delivery must have its own content: the events are those of an `eventWriter`.
 */
export function findings(committed: readonly string[], stream: readonly ReceivedEntry[]): Findings {
  const expected = new Set(committed)
  const seen = new Set<string>()
  const highest = new Map<string, number>()
  const contents = new ContentCheck()
  const outOfOrder: string[] = []
  const altered = new Set<string>()
  const repeats: string[] = []
  for (const entry of stream) {
    const { id, aggregateType, aggregateId, sequence } = entry
    if (!contents.isOwn(entry)) altered.add(id)
    if (seen.has(id)) {
      repeats.push(id)
      continue
    }
    seen.add(id)
    const key = `${aggregateType} ${aggregateId}`
    const isInOrder = contents.ascends(entry) && sequence > (highest.get(key) ?? 0)
    if (isInOrder) highest.set(key, sequence)
    else outOfOrder.push(id)
  }
  return {
    lost: [...expected].filter((id) => !seen.has(id)),
    leaked: [...seen].filter((id) => !expected.has(id)),
    outOfOrder,
    altered: [...altered],
    repeats,
  }
}

export const clean: Findings = Object.freeze({ lost: [], leaked: [], outOfOrder: [], altered: [], repeats: [] })
