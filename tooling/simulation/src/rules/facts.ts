import type { Lease } from '@outbox/core'
import type { EntryName, LostLease, RecordedAs } from '../history.ts'
import type { Outcome } from '../run.ts'

export interface Violation {
  readonly rule: string
  readonly text: string
  /** what to look at in the history */
  readonly ids: readonly string[]
}

export type ArrivedDeed = RecordedAs<'arrived'>
type Settled = RecordedAs<'settled'>

/** A lease that was granted though the one before it had not been given back. */
export interface Takeover {
  readonly lease: Lease
  readonly step: number
  readonly lost: LostLease
}

/** The history, sorted by what the rules ask for. */
export interface Facts {
  readonly outcome: Outcome
  readonly committed: ReadonlyMap<string, EntryName>
  /** stored or dropped as a repeat, in the order of arrival */
  readonly arrivals: ReadonlyMap<string, readonly ArrivedDeed[]>
  readonly settled: ReadonlyMap<string, readonly Settled[]>
  readonly requeued: ReadonlyMap<string, readonly number[]>
  readonly discarded: ReadonlySet<string>
  /** ever given up */
  readonly died: ReadonlySet<string>
  /** what the broker lost after it had acknowledged it */
  readonly lostTail: ReadonlySet<string>
  readonly attempts: ReadonlyMap<number, RecordedAs<'attempted'>>
  readonly takeovers: readonly Takeover[]
}

export function factsOf(outcome: Outcome): Facts {
  const { history } = outcome
  const arrived = history.all('arrived').filter(({ as }) => as === 'stored' || as === 'duplicate')
  const settled = history.all('settled')
  return {
    outcome,
    committed: namesIn(history),
    arrivals: grouped(arrived),
    settled: grouped(settled),
    requeued: new Map([...grouped(history.all('requeued'))].map(([id, deeds]) => [id, deeds.map(({ step }) => step)])),
    discarded: new Set(history.all('discarded').map(({ id }) => id)),
    died: new Set(settled.filter(({ outcome: what }) => what === 'dead').map(({ id }) => id)),
    lostTail: new Set(history.all('lostTail').flatMap(({ ids }) => ids)),
    attempts: new Map(history.all('attempted').map((deed) => [deed.attempt, deed])),
    takeovers: history
      .all('granted')
      .flatMap(({ lease, step, tookOver }) => (tookOver ? [{ lease, step, lost: tookOver }] : [])),
  }
}

/** Every committed entry by its id. */
export function namesIn(history: Outcome['history']): ReadonlyMap<string, EntryName> {
  const entries = history.all('committed').flatMap((deed): readonly EntryName[] => deed.entries)
  return new Map(entries.map((entry) => [entry.id, entry]))
}

function grouped<Deed extends { readonly id: string }>(deeds: readonly Deed[]): Map<string, Deed[]> {
  const groups = new Map<string, Deed[]>()
  for (const deed of deeds) {
    const group = groups.get(deed.id)
    if (group) group.push(deed)
    else groups.set(deed.id, [deed])
  }
  return groups
}
