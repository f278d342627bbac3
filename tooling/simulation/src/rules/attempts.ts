import { suspectAt } from '@outbox/core/adapter'
import type { Facts, Violation } from './facts.ts'

/** An attempt starts only while its lease is nobody else's. */
export function attemptsAreOwned(facts: Facts): readonly Violation[] {
  const takenAt = new Map<string, number>()
  for (const { lease, step } of facts.takeovers) {
    for (let epoch = 0; epoch < lease.epoch; epoch++) {
      const key = `${lease.partition} ${epoch}`
      if (!takenAt.has(key)) takenAt.set(key, step)
    }
  }
  return [...facts.attempts.values()].flatMap((attempt) =>
    attempt.entries.flatMap(({ id, lease }) => {
      const step = takenAt.get(`${lease.partition} ${lease.epoch}`)
      if (step === undefined || step > attempt.step) return []
      const text = `${attempt.relay} published under epoch ${lease.epoch} of partition ${lease.partition}, which another relay had taken over`
      return [{ rule: 'attempts-are-owned', text, ids: [id], step: attempt.step }]
    }),
  )
}

/** The store is told as published what the broker has told as published, and nothing else. */
export function settlesAreTrue(facts: Facts): readonly Violation[] {
  return facts.outcome.history.all('said').flatMap(({ relay, settlements, step }) => {
    const untrue = settlements.filter(
      (settlement) => settlement.outcome === 'published' && facts.trialOf(settlement)?.told?.status !== 'published',
    )
    if (untrue.length === 0) return []
    const text = `${relay} settled as published what the broker did not tell as published`
    return [{ rule: 'settles-are-true', text, ids: untrue.map(({ id }) => id), step }]
  })
}

/** An entry is given up for what the broker said of it, or because relays died with it alone in their hands. */
export function deathsHaveReasons(facts: Facts): readonly Violation[] {
  const { history, plan, poison } = facts.outcome
  const settled = history.all('settled')
  return settled.flatMap(({ id, outcome, reason, step }) => {
    if (outcome !== 'dead' || poison.get(id) === 'rejected') return []
    const since = facts.requeued.get(id)?.findLast((requeue) => requeue < step) ?? 0
    if (reason?.startsWith('crash:')) {
      const losses = facts.takeovers.filter(
        (deed) => deed.step > since && deed.step < step && deed.lost.inFlight.includes(id),
      )
      // the first time it may have been in company: it is under suspicion from then on
      const alone = losses.filter(
        ({ lost: { lease }, step: at }) =>
          wasAlone(facts, id, lease.holder, at) || wasLentAlone(facts, id, lease.holder),
      ).length
      if (losses.length >= plan.relay.maxCrashes && alone >= plan.relay.maxCrashes - suspectAt) return []
      const text = `given up as deadly after ${losses.length} lost leases, ${alone} of them with nothing else in hand`
      return [{ rule: 'deaths-have-reasons', text, ids: [id], step }]
    }
    const refusals = settled.filter(
      (deed) => deed.id === id && deed.isRefusal && deed.step > since && deed.step < step,
    ).length
    if (refusals + 1 >= plan.relay.retry.maxAttempts) return []
    const text = `given up with attempt ${refusals + 1}: ${reason}`
    return [{ rule: 'deaths-have-reasons', text, ids: [id], step }]
  })
}

/** A refusal that the relay was told counts, and is not forgotten: the store hears of it before the entry is tried again. */
export function refusalsCount(facts: Facts): readonly Violation[] {
  const { history } = facts.outcome
  const told = new Map<string, number>()
  const violations: Violation[] = []
  for (const deed of history.deeds) {
    switch (deed.kind) {
      case 'told':
        if (deed.status === 'retry') told.set(deed.id, deed.step)
        break
      case 'settled':
        told.delete(deed.id)
        break
      case 'settleFailed':
        for (const id of deed.ids) told.delete(id)
        break
      case 'granted':
        // whoever was told lost the lease
        for (const id of deed.tookOver?.inFlight ?? []) told.delete(id)
        break
      case 'attempted':
        for (const { id } of deed.entries) {
          if (told.delete(id))
            violations.push({
              rule: 'refusals-count',
              text: 'a refusal was not written down',
              ids: [id],
              step: deed.step,
            })
        }
        break
      default:
    }
  }
  return violations
}

/** Whether the relay that lost its leases then had handed nothing to its publisher but this entry, and was told nothing. */
function wasAlone(facts: Facts, id: string, holder: string, lostAt: number): boolean {
  // a relay that was only stopped is told later
  const toldBefore = facts.outcome.history.all('told').filter(({ step }) => step < lostAt)
  const told = new Set(toldBefore.map(({ attempt }) => attempt))
  const open = [...facts.attempts.values()].filter(
    ({ relay, attempt, step }) => holder.startsWith(`${relay} (`) && step < lostAt && !told.has(attempt),
  )
  const entries = open.flatMap((attempt) => attempt.entries.map((entry) => entry.id))
  return entries.length === 1 && entries[0] === id
}

/** Whether the store had lent nothing else to the relay that lost its leases: it may have died before it published. */
function wasLentAlone(facts: Facts, id: string, holder: string): boolean {
  const lent = facts.takeovers.filter(({ lost }) => lost.lease.holder === holder).flatMap(({ lost }) => lost.inFlight)
  return lent.length === 1 && lent[0] === id
}
