import type { ReceivedEntry } from '@outbox/core/wire'

/** What a broker's stream shows when it is held against what was committed. */
export interface Findings {
  readonly lost: readonly string[]
  readonly leaked: readonly string[]
  readonly outOfOrder: readonly string[]
  readonly repeats: readonly string[]
}

/** First deliveries must ascend per aggregate, and be exactly what was committed. */
export function findings(committed: readonly string[], stream: readonly ReceivedEntry[]): Findings {
  const expected = new Set(committed)
  const seen = new Set<string>()
  const highest = new Map<string, number>()
  const outOfOrder: string[] = []
  const repeats: string[] = []
  for (const { id, aggregateType, aggregateId, sequence } of stream) {
    if (seen.has(id)) {
      repeats.push(id)
      continue
    }
    seen.add(id)
    const key = `${aggregateType} ${aggregateId}`
    if (sequence <= (highest.get(key) ?? 0)) outOfOrder.push(id)
    else highest.set(key, sequence)
  }
  return {
    lost: [...expected].filter((id) => !seen.has(id)),
    leaked: [...seen].filter((id) => !expected.has(id)),
    outOfOrder,
    repeats,
  }
}

export const clean: Findings = Object.freeze({ lost: [], leaked: [], outOfOrder: [], repeats: [] })
