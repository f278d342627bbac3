import type { Lease, Settlement, SettleRequest } from '@outbox/core'
import { firstWords, requeuesOf } from '@outbox/core/adapter'
import { standing } from './leases.ts'
import { aggregateOf, moveRow } from './rows.ts'
import type { State } from './state.ts'

/** `LeasedSource.settle`: one lost lease does not void what is said under the others. */
export function settle(state: State, request: SettleRequest): { readonly lost: readonly Lease[] } {
  for (const settlement of firstWords(request.settlements)) {
    if (standing(state, settlement.entry.lease)) apply(state, settlement)
  }
  const lost: Lease[] = []
  for (const lease of request.leases) {
    const row = standing(state, lease)
    if (row) row.inFlight = []
    else lost.push(lease)
  }
  return { lost }
}

function apply(state: State, settlement: Settlement): void {
  const { entry } = settlement
  const row = state.rows.get(entry.id)
  if (row?.state.kind !== 'pending') return
  if (row.refused + 1 !== entry.attempt || row.requeues !== requeuesOf(entry)) return
  if (row.entry.partition !== entry.lease.partition) return
  const now = state.clock.monotonic()
  row.crashes = 0
  switch (settlement.outcome) {
    case 'published':
      moveRow(state, row, { kind: 'published', at: new Date(state.now()), since: now })
      return
    case 'retry':
      if (settlement.isRefusal) row.refused += 1
      aggregateOf(state, row).waitingUntil = now + settlement.retryInMs
      return
    case 'dead':
      moveRow(state, row, {
        kind: 'dead',
        at: new Date(state.now()),
        reason: settlement.reason,
        holder: entry.lease.holder,
        blocksAggregate: settlement.blocksAggregate,
      })
  }
}
