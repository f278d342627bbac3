import type { Outcome } from '../run.ts'
import { attemptsAreOwned, deathsHaveReasons, outagesBurnNothing, refusalsCount } from './attempts.ts'
import { allComesToRest, eventsAreTrue, nothingIsLost } from './completeness.ts'
import { type Facts, factsOf, type Violation } from './facts.ts'
import { firstDeliveriesAscend, settledEntriesRest } from './order.ts'
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
  deathsHaveReasons,
  nothingIsLost,
  allComesToRest,
  eventsAreTrue,
]

/** Holds every promise against the whole history. @returns what was broken; nothing is the good answer */
export function check(outcome: Outcome): readonly Violation[] {
  const seen = outcome.history.all('violation').map(({ rule, text }) => ({ rule, text, ids: [] }))
  const facts = factsOf(outcome)
  return [...seen, ...rules.flatMap((rule) => rule(facts))]
}
