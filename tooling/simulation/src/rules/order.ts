import type { EntryName } from '../history.ts'
import type { Facts, Violation } from './facts.ts'

/**
 * Per aggregate, entries reach the broker for the first time in ascending sequence.
 *
 * Outside this order stand entries that were discarded, and under `skip` those that were dead letters at some time.
 */
export function firstDeliveriesAscend(facts: Facts): readonly Violation[] {
  const { plan } = facts.outcome
  const firsts = [...facts.arrivals]
    .flatMap(([id, arrivals]) => {
      const name = facts.committed.get(id)
      const first = arrivals[0]
      return name && first ? [{ name, step: first.step }] : []
    })
    .filter(({ name: { id } }) => !facts.discarded.has(id) && !(plan.relay.onDead === 'skip' && facts.died.has(id)))
    .sort((a, b) => a.step - b.step)
  const last = new Map<string, EntryName>()
  return firsts.flatMap(({ name, step }) => {
    const before = last.get(name.aggregate)
    if (!before || before.sequence < name.sequence) {
      last.set(name.aggregate, name)
      return []
    }
    return [
      {
        rule: 'first-deliveries-ascend',
        text: `${name.aggregate}: sequence ${name.sequence} reached the broker for the first time after ${before.sequence}`,
        ids: [before.id, name.id],
        step,
      },
    ]
  })
}

/** No attempt at an entry starts when it, or a later entry of its aggregate, was settled before its batch was fetched. */
export function settledEntriesRest(facts: Facts): readonly Violation[] {
  const { history } = facts.outcome
  const fetchedAt = new Map(history.all('fetched').map(({ fetch, step }) => [fetch, step]))
  const published = new Map<string, { readonly step: number; readonly sequence: number }[]>()
  for (const deed of history.all('settled')) {
    const name = facts.committed.get(deed.id)
    if (deed.outcome !== 'published' || !name) continue
    const list = published.get(name.aggregate) ?? []
    list.push({ step: deed.step, sequence: name.sequence })
    published.set(name.aggregate, list)
  }
  return [...facts.attempts.values()].flatMap(({ entries, step: triedAt }) =>
    entries.flatMap(({ id, fetch }) => {
      const name = facts.committed.get(id)
      const step = fetchedAt.get(fetch)
      if (!name || step === undefined || facts.died.has(id)) return []
      const later = published.get(name.aggregate)?.find((other) => other.step < step && other.sequence >= name.sequence)
      if (!later) return []
      const text = `${name.aggregate}: sequence ${name.sequence} was tried though ${later.sequence} was settled before it was fetched`
      return [{ rule: 'settled-entries-rest', text, ids: [id], step: triedAt }]
    }),
  )
}
