import type { DueEntry, Lease, Settlement } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import fc from 'fast-check'
import type { Batch, Verdict } from '../pair.ts'
import { type Step, step } from '../step.ts'

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

/** @param at - the number of a batch, or the one lent last */
export function settling(at: number | 'last', given: readonly Verdict[]): Step {
  return step(
    'settle',
    [at, given],
    (side, { memo: { batches }, can }, which) => {
      const index = at === 'last' ? batches.length - 1 : at % Math.max(1, batches.length)
      const batch = batches[index]
      if (!batch) return side.store.settle({ leases: [], settlements: [] })
      batch.verdicts ??= given
      const entries = batch.lent.map((both) => both[which])
      const leases = new Map(entries.map(({ lease }) => [`${lease.partition} ${lease.epoch}`, lease]))
      const later = can.waitsByAggregate === true ? [] : batches.slice(index + 1)
      const settlements = settlementsOf(entries, batch.verdicts).filter((one) => !isContradicted(one, later))
      return side.store.settle({ leases: [...leases.values()], settlements })
    },
    { compared: ({ lost }) => byPlace(lost) },
  )
}

/** Whether a retry comes late: what its aggregate begins with is another entry, as a later batch has shown. */
function isContradicted({ outcome, entry }: Settlement, later: readonly Batch[]): boolean {
  return (
    outcome === 'retry' &&
    later.some(({ lent }) => {
      const first = lent.find(({ model }) => aggregateKey(model) === aggregateKey(entry))
      return first !== undefined && first.model.id !== entry.id
    })
  )
}

/** Settles the batch lent last, as a relay does, or any other, as a zombie does, or one that asks again. */
export const settle = fc
  .record({ which: pick, verdicts, isLate: fc.nat({ max: 4 }).map((n) => n === 0) })
  .map(({ which, verdicts: given, isLate }) => settling(isLate ? which : 'last', given))

/** Nothing is in anybody's hands afterwards. */
export const settlingNothing: Step = step(
  'settle nothing',
  [],
  (side, { memo }) => side.store.settle({ leases: memo.leases, settlements: [] }),
  { compared: ({ lost }) => byPlace(lost) },
)

function byPlace(leases: readonly Lease[]): readonly Lease[] {
  return [...leases].sort((a, b) => a.partition - b.partition || a.epoch - b.epoch)
}

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
