import type { GrantedLease, Lease, LeasedSource, Poll } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { isDue } from './rows.ts'
import type { LeaseRow, State } from './state.ts'

/** The lease row, if `lease` is the one that stands: the fence of every write under a lease. */
export function standing(state: State, lease: Lease): LeaseRow | undefined {
  const row = state.leases[lease.partition]
  return row && row.epoch === lease.epoch && row.holder === lease.holder ? row : undefined
}

export function join(state: State, request: { readonly holder: string }): { readonly source: string } {
  if (!state.relays.has(request.holder)) state.relays.set(request.holder, 0)
  return { source: state.source }
}

export function poll(state: State, request: { readonly holder: string }): Poll {
  const beat = state.relays.get(request.holder)
  if (beat !== undefined) state.relays.set(request.holder, beat + 1)
  return {
    isMember: beat !== undefined,
    relays: [...state.relays].map(([holder, beat]) => ({ holder, beat })),
    leases: state.leases.map(({ holder, epoch }, partition) => ({ partition, epoch, holder })),
    duePartitions: duePartitions(state),
  }
}

function duePartitions(state: State): readonly number[] {
  const now = state.clock.monotonic()
  const due = new Set<number>()
  for (const aggregate of state.aggregates.values()) if (isDue(aggregate, now)) due.add(aggregate.partition)
  return [...due].sort((a, b) => a - b)
}

export function acquire(state: State, request: Parameters<LeasedSource['acquire']>[0]): readonly GrantedLease[] {
  for (const { holder, beat } of request.evict) {
    if (state.relays.get(holder) === beat) state.relays.delete(holder)
  }
  if (!state.relays.has(request.holder)) return []
  const granted: GrantedLease[] = []
  for (const { partition, epoch, above = 0 } of request.claims) {
    const row = state.leases[partition]
    if (!row || row.epoch !== epoch) continue
    if (row.holder !== null && state.relays.has(row.holder)) continue
    countCrashes(state, row)
    row.holder = request.holder
    row.epoch = Math.max(row.epoch, above) + 1
    row.inFlight = []
    granted.push({ partition, epoch: row.epoch, holder: row.holder, hasSuspects: hasSuspects(state, partition) })
  }
  return granted.sort((a, b) => a.partition - b.partition)
}

/** Whoever had these entries in hand never said what became of them. A released lease has no notes. */
function countCrashes(state: State, lease: LeaseRow): void {
  for (const id of lease.inFlight) {
    const row = state.rows.get(id)
    if (row?.state.kind === 'pending') row.crashes += 1
  }
}

function hasSuspects(state: State, partition: number): boolean {
  for (const aggregate of state.aggregates.values()) {
    if (aggregate.partition !== partition) continue
    if (aggregate.pending.some(({ crashes }) => crashes >= suspectAt)) return true
  }
  return false
}

export function release(state: State, request: Parameters<LeasedSource['release']>[0]): void {
  for (const lease of request.leases) {
    const row = standing(state, lease)
    if (row?.holder !== request.holder) continue
    row.holder = null
    row.inFlight = []
  }
  if (request.leave) state.relays.delete(request.holder)
}
