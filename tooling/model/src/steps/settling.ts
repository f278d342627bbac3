import type { DueEntry, Settlement } from '@outbox/core'
import fc from 'fast-check'
import type { Verdict } from '../pair.ts'
import { step } from '../step.ts'

const week = 7 * 24 * 3_600_000
const pick = fc.nat({ max: 1_000 })

const verdicts = fc.array(
  fc.constantFrom<Verdict>(
    'published',
    'published',
    'published',
    'refused',
    'waits',
    'outage',
    'dead',
    'blocking',
    'nothing',
  ),
  { minLength: 1, maxLength: 12 },
)

function settlement(entry: DueEntry, verdict: Verdict): readonly Settlement[] {
  const reason = 'the broker said so'
  switch (verdict) {
    case 'published':
      return [{ entry, outcome: 'published' }]
    case 'refused':
      return [{ entry, outcome: 'retry', retryInMs: 0, isRefusal: true, reason }]
    case 'waits':
      return [{ entry, outcome: 'retry', retryInMs: week, isRefusal: true, reason }]
    case 'outage':
      return [{ entry, outcome: 'retry', retryInMs: 0, isRefusal: false, reason }]
    case 'dead':
      return [{ entry, outcome: 'dead', reason, blocksAggregate: false }]
    case 'blocking':
      return [{ entry, outcome: 'dead', reason, blocksAggregate: true }]
    case 'nothing':
      return []
  }
}

/** Settles the batch lent last, as a relay does, or any other, as a zombie does, or one that asks again. */
export const settle = fc
  .record({ which: pick, verdicts, isLate: fc.nat({ max: 4 }).map((n) => n === 0) })
  .map(({ which: at, verdicts: given, isLate }) =>
    step(
      'settle',
      [isLate ? at : 'last', given],
      (side, { memo: { batches } }, which) => {
        const batch = isLate ? batches[at % Math.max(1, batches.length)] : batches.at(-1)
        if (!batch) return side.store.settle({ leases: [], settlements: [] })
        batch.verdicts ??= given
        const entries = batch.lent.map((both) => both[which])
        const leases = new Map(entries.map(({ lease }) => [`${lease.partition} ${lease.epoch}`, lease]))
        return side.store.settle({ leases: [...leases.values()], settlements: settlementsOf(entries, batch.verdicts) })
      },
      { compared: ({ lost }) => [...lost].sort((a, b) => a.partition - b.partition || a.epoch - b.epoch) },
    ),
  )

/** A relay stops an aggregate at its first failure. */
function settlementsOf(entries: readonly DueEntry[], given: readonly Verdict[]): readonly Settlement[] {
  const stopped = new Set<string>()
  return entries.flatMap((entry, index) => {
    const key = `${entry.aggregateType} ${entry.aggregateId}`
    const verdict = given[index % given.length] ?? 'nothing'
    if (stopped.has(key)) return []
    if (verdict !== 'published') stopped.add(key)
    return settlement(entry, verdict)
  })
}
