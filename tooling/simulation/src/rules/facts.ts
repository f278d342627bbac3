import type { Lease } from '@outbox/core'
import type { EntryName, LostLease, RecordedAs } from '../history.ts'
import type { Outcome } from '../run.ts'
import type { Rule } from './names.ts'

export interface Violation {
  readonly rule: Rule
  readonly text: string
  /** what to look at in the history */
  readonly ids: readonly string[]
  /** where in the history it shows */
  readonly step: number
}

export type ArrivedDeed = RecordedAs<'arrived'>
type Settled = RecordedAs<'settled'>

/** A lease that was granted though the one before it had not been given back. */
export interface Takeover {
  readonly lease: Lease
  readonly step: number
  readonly lost: LostLease
}

/** A relay hands one entry of a batch to its publisher: once for each time that it is lent. */
export interface Trial {
  readonly id: string
  readonly attempted: RecordedAs<'attempted'>
  /** undefined: the relay died before */
  readonly told: RecordedAs<'told'> | undefined
}

/** An entry as a fetch has lent it. */
interface Loan {
  readonly id: string
  readonly fetch: number
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
  /** by the fetch that lent their entries */
  readonly trials: ReadonlyMap<number, readonly Trial[]>
  readonly trialOf: (loan: Loan) => Trial | undefined
  readonly takeovers: readonly Takeover[]
}

export function factsOf(outcome: Outcome): Facts {
  const { history } = outcome
  const arrived = history.all('arrived').filter(({ as }) => as === 'stored' || as === 'duplicate')
  const settled = history.all('settled')
  const trials = trialsIn(history)
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
    trials,
    trialOf: ({ fetch, id }) => trials.get(fetch)?.find((trial) => trial.id === id),
    takeovers: history
      .all('granted')
      .flatMap(({ lease, step, tookOver }) => (tookOver ? [{ lease, step, lost: tookOver }] : [])),
  }
}

function trialsIn(history: Outcome['history']): ReadonlyMap<number, readonly Trial[]> {
  const told = new Map(history.all('told').map((deed) => [`${deed.attempt} ${deed.id}`, deed]))
  const trials = new Map<number, Trial[]>()
  for (const attempted of history.all('attempted')) {
    for (const { id, fetch } of attempted.entries) {
      const trial = { id, attempted, told: told.get(`${attempted.attempt} ${id}`) }
      const batch = trials.get(fetch)
      if (batch) batch.push(trial)
      else trials.set(fetch, [trial])
    }
  }
  return trials
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
