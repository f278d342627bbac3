import type { Facts, Violation } from './facts.ts'

/** Every committed entry is in the broker's log, or a dead letter with a reason, or was discarded; nothing else is there. */
export function nothingIsLost(facts: Facts): readonly Violation[] {
  const { log, dead, history } = facts.outcome
  const stored = new Set(log.map(({ id }) => id))
  const lost = [...facts.committed.keys()]
    .filter((id) => !stored.has(id) && !dead.has(id) && !facts.discarded.has(id) && !facts.lostTail.has(id))
    .map((id): Violation => {
      const text = 'a committed entry was neither delivered nor given up'
      return { rule: 'nothing-is-lost', text, ids: [id], step: history.deeds.length }
    })
  const leaked = [...stored]
    .filter((id) => !facts.committed.has(id))
    .map((id): Violation => {
      const step = facts.arrivals.get(id)?.[0]?.step ?? 0
      return { rule: 'nothing-leaks', text: 'something was delivered that was never committed', ids: [id], step }
    })
  return [...lost, ...leaked]
}

/** With the faults over, all is delivered within a bound. */
export function allComesToRest(facts: Facts): readonly Violation[] {
  const { pending, endedAt, calmAt, history } = facts.outcome
  if (pending === 0) return []
  const text = `${pending} entries were still pending ${Math.round(endedAt - calmAt)} ms after the last fault`
  const after = history.deeds.find(({ at }) => at > endedAt)
  return [{ rule: 'all-comes-to-rest', text, ids: [], step: after?.step ?? history.deeds.length }]
}
