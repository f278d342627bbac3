import type { RecordedAs, SaidSettlement } from '../history.ts'
import type { Facts, Violation } from './facts.ts'

type Said = RecordedAs<'said'>

/**
 * An attempt counts only for what its entry is to blame for: a refusal by the broker, or a publish that failed otherwise
 * while the broker was there.
 *
 * It was there when it answered a probe that this relay sent after the failure and before it spoke to the store. A
 * broker that cannot be probed is believed to be there after a publish without an answer, unless it said the contrary
 * of another entry of the same batch. And one failure counts once: what stands behind it in its aggregate is not to
 * blame.
 */
export function outagesBurnNothing(facts: Facts): readonly Violation[] {
  const blame = blameIn(facts)
  const spoken = new Set<string>()
  return facts.outcome.history.all('said').flatMap((said) => {
    const failedBefore = new Set<string | undefined>()
    return said.settlements.filter(counts).flatMap((settlement): readonly Violation[] => {
      const { id } = settlement
      const key = keyOf(settlement)
      if (spoken.has(key)) return [] // said again, because no answer came
      spoken.add(key)
      const aggregate = facts.committed.get(id)?.aggregate
      const objection = failedBefore.has(aggregate)
        ? 'which stood behind another failure of its batch'
        : blame(said, settlement)
      failedBefore.add(aggregate)
      if (objection === undefined) return []
      const text = `${said.relay} counted an attempt of an entry ${objection}`
      return [{ rule: 'outages-burn-nothing', text, ids: [id], step: said.step }]
    })
  })
}

/** An entry that is given up has had its last attempt; for one that relays die of, `deaths-have-reasons` asks. */
function counts({ outcome, isRefusal, reason }: SaidSettlement): boolean {
  return isRefusal || (outcome === 'dead' && reason?.startsWith('crash:') !== true)
}

/** Why an entry is not to blame; undefined: it is. */
function blameIn(facts: Facts): (said: Said, settlement: SaidSettlement) => string | undefined {
  const { history, plan } = facts.outcome
  const askedAt = new Map(history.all('asked').map(({ probe, step }) => [probe, step]))
  const answered = history.all('probed').filter(({ isAnswered }) => isAnswered)
  return (said, settlement) => {
    const last = facts.trialOf(settlement)?.told
    if (!last || last.step > said.step) return 'that was not tried'
    const { status, step } = last
    if (status === 'retry' || status === 'reject') return undefined
    if (status !== 'unknown' && status !== 'unavailable') return `that the broker told as ${status}`
    if (plan.broker.probes) {
      const isThere = answered.some(
        (deed) => deed.relay === said.relay && deed.step < said.step && (askedAt.get(deed.probe) ?? 0) > step,
      )
      return isThere ? undefined : `that was told as ${status}, and the broker has answered no probe since`
    }
    const isAway = facts.trials.get(settlement.fetch)?.some(({ told }) => told?.status === 'unavailable') === true
    if (!isAway) return undefined
    return `that was told as ${status}, by a broker that was away`
  }
}

function keyOf({ fetch, id }: { readonly fetch: number; readonly id: string }): string {
  return `${fetch} ${id}`
}
