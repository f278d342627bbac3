import type { Facts, Violation } from './facts.ts'

/** Every committed entry is in the broker's log, or a dead letter with a reason, or was discarded; nothing else is there. */
export function nothingIsLost(facts: Facts): readonly Violation[] {
  const { log, dead } = facts.outcome
  const stored = new Set(log.map(({ id }) => id))
  const lost = [...facts.committed.keys()]
    .filter((id) => !stored.has(id) && !dead.has(id) && !facts.discarded.has(id) && !facts.lostTail.has(id))
    .map((id) => ({ rule: 'nothing-is-lost', text: 'a committed entry was neither delivered nor given up', ids: [id] }))
  const leaked = [...stored]
    .filter((id) => !facts.committed.has(id))
    .map((id) => ({ rule: 'nothing-leaks', text: 'something was delivered that was never committed', ids: [id] }))
  return [...lost, ...leaked]
}

/** With the faults over, all is delivered within a bound. */
export function allComesToRest(facts: Facts): readonly Violation[] {
  const { pending, endedAt, calmAt } = facts.outcome
  if (pending === 0) return []
  const text = `${pending} entries were still pending ${Math.round(endedAt - calmAt)} ms after the last fault`
  return [{ rule: 'all-comes-to-rest', text, ids: [] }]
}

/** What the relays tell is so: nothing is told that the store does not know, and defects are told of none. */
export function eventsAreTrue(facts: Facts): readonly Violation[] {
  const settledBefore = (id: string, outcome: string, step: number): boolean =>
    facts.settled.get(id)?.some((deed) => deed.outcome === outcome && deed.step < step) === true
  return facts.outcome.history.all('event').flatMap(({ relay, name, ids, text, step }) => {
    if (name === 'error') return [{ rule: 'no-defect', text: `${relay}: ${text}`, ids: [] }]
    if (name === 'lateSequence') return [{ rule: 'events-are-true', text: `${relay} told a late sequence`, ids }]
    if (name !== 'published' && name !== 'dead') return []
    const untrue = ids.filter((id) => !settledBefore(id, name, step))
    return untrue.length === 0
      ? []
      : [{ rule: 'events-are-true', text: `${relay} told '${name}' of what the store does not know`, ids: untrue }]
  })
}
