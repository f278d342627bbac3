import type { Outcome } from '../run.ts'
import { attemptsAreOwned, deathsHaveReasons, refusalsCount, settlesAreTrue } from './attempts.ts'
import { allComesToRest, nothingIsLost } from './completeness.ts'
import { countersAreTrue } from './counters.ts'
import { defectsAreNone, eventsAreTrue } from './events.ts'
import { type Facts, factsOf, type Violation } from './facts.ts'
import { firstDeliveriesAscend, settledEntriesRest } from './order.ts'
import { outagesBurnNothing } from './outages.ts'
import { echoesAreMarked, fencesHold, repeatsAreDropped, repeatsHaveCauses } from './repeats.ts'

export type { Violation } from './facts.ts'

const rules: readonly ((facts: Facts) => readonly Violation[])[] = [
  firstDeliveriesAscend,
  settledEntriesRest,
  repeatsHaveCauses,
  repeatsAreDropped,
  echoesAreMarked,
  fencesHold,
  attemptsAreOwned,
  outagesBurnNothing,
  refusalsCount,
  settlesAreTrue,
  deathsHaveReasons,
  nothingIsLost,
  allComesToRest,
  defectsAreNone,
  eventsAreTrue,
  countersAreTrue,
]

/** Holds every promise against the whole history. @returns what was broken, first things first; nothing is the good answer */
export function check(outcome: Outcome): readonly Violation[] {
  const seen = outcome.history.all('violation').map(({ rule, text, step }) => ({ rule, text, ids: [], step }))
  const facts = factsOf(outcome)
  return [...seen, ...rules.flatMap((rule) => rule(facts))].sort((a, b) => a.step - b.step)
}
