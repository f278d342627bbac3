import type { RelayEventName } from '@outbox/relay'
import type { RecordedAs } from '../history.ts'
import { divided } from './dues.ts'
import type { Facts, Violation } from './facts.ts'

/** What a relay counts is what it has told, and as many duplicates as the broker told of among what it published. */
export function countersAreTrue(facts: Facts): readonly Violation[] {
  const { history } = facts.outcome
  const events = Map.groupBy(history.all('event'), ({ relay }) => relay)
  const duplicates = duplicatesIn(facts)
  return history.all('counted').flatMap(({ relay, stats, step }) => {
    const told = (name: RelayEventName): number =>
      (events.get(relay) ?? []).reduce((sum, event) => sum + (event.name === name ? event.ids.length : 0), 0)
    const counters = [
      { name: 'published', counted: stats.published, was: told('published') },
      { name: 'retried', counted: stats.retried, was: told('retry') },
      { name: 'dead', counted: stats.dead, was: told('dead') },
      { name: 'settlesRefused', counted: stats.settlesRefused, was: told('settleRefused') },
      { name: 'duplicates', counted: stats.duplicates, was: duplicates.get(relay) ?? 0 },
    ]
    return counters.flatMap(({ name, counted, was }): readonly Violation[] => {
      if (counted === was) return []
      const text = `${relay} counted ${counted} ${name}, and it was ${was}`
      return [{ rule: 'counters-are-true', text, ids: [], step }]
    })
  })
}

/** By relay: entries that the broker had already, and whose settling the relay has heard of. */
function duplicatesIn(facts: Facts): ReadonlyMap<string, number> {
  const said = new Map(facts.outcome.history.all('said').map((deed) => [deed.say, deed]))
  const count = ({ answer }: RecordedAs<'heard'>): number => {
    if (answer.call !== 'settle') return 0
    const { taken } = divided(said.get(answer.say)?.settlements ?? [], answer.lost)
    const published = taken.filter(({ outcome }) => outcome === 'published')
    return published.filter((settlement) => facts.trialOf(settlement)?.told?.isDuplicate).length
  }
  const counts = new Map<string, number>()
  for (const heard of facts.outcome.history.all('heard')) {
    counts.set(heard.relay, (counts.get(heard.relay) ?? 0) + count(heard))
  }
  return counts
}
