import type { ArrivedDeed, Facts, Violation } from './facts.ts'

/** Every repeat has a cause: a lease that ended unreleased, an unanswered publish, a settle that failed, a requeue. */
export function repeatsHaveCauses(facts: Facts): readonly Violation[] {
  const causes = causesOf(facts)
  return [...facts.arrivals].flatMap(([id, arrivals]) =>
    arrivals.slice(1).flatMap((arrival, index) => {
      const before = arrivals[index]
      if (!before) return []
      // what set the repeat going lies between the beginning of the two attempts and the repeat's arrival
      const from = Math.min(startOf(facts, before), startOf(facts, arrival))
      if (causes(id).some((step) => step > from && step < arrival.step)) return []
      return [
        {
          rule: 'repeats-have-causes',
          text: `an entry arrived again without any cause`,
          ids: [id],
          step: arrival.step,
        },
      ]
    }),
  )
}

function startOf(facts: Facts, arrival: ArrivedDeed): number {
  return facts.attempts.get(arrival.attempt)?.step ?? 0
}

function causesOf(facts: Facts): (id: string) => readonly number[] {
  const { history } = facts.outcome
  const byPartition = new Map<number, number[]>()
  for (const { lease, step } of facts.takeovers) {
    byPartition.set(lease.partition, [...(byPartition.get(lease.partition) ?? []), step])
  }
  const byEntry = new Map<string, number[]>()
  const add = (id: string, step: number): void => void byEntry.set(id, [...(byEntry.get(id) ?? []), step])
  for (const { id, status, step } of history.all('told')) if (status === 'unknown') add(id, step)
  for (const { ids, step } of history.all('settleFailed')) for (const id of ids) add(id, step)
  for (const { id, step } of history.all('requeued')) add(id, step)
  return (id) => [...(byEntry.get(id) ?? []), ...(byPartition.get(facts.committed.get(id)?.partition ?? -1) ?? [])]
}

/** A message stands twice in the log only if deduplication was off, had expired or was forgotten, or after a requeue. */
export function repeatsAreDropped(facts: Facts): readonly Violation[] {
  const { plan } = facts.outcome
  const window = plan.broker.dedupeWindowMs
  const forgets = plan.faults.some(({ kind }) => kind === 'forgottenDeduplication' || kind === 'lostTail')
  if (window === undefined || forgets) return []
  return [...facts.arrivals].flatMap(([id, arrivals]) => {
    const stored = arrivals.filter(({ as }) => as === 'stored')
    return stored.slice(1).flatMap((arrival, index) => {
      const before = stored[index]
      if (!before || arrival.at - before.at >= window) return []
      if (facts.requeued.get(id)?.some((step) => step < arrival.step)) return []
      return [
        { rule: 'repeats-are-dropped', text: 'a repeat within the window was stored', ids: [id], step: arrival.step },
      ]
    })
  })
}

/** What arrives under a lease that was taken over is what it had in flight, or what was told as unanswered before. */
export function echoesAreMarked(facts: Facts): readonly Violation[] {
  const ended = new Map<string, { readonly step: number; readonly inFlight: ReadonlySet<string> }>()
  for (const { step, tookOver } of facts.outcome.history.all('granted')) {
    if (!tookOver) continue
    ended.set(keyOf(tookOver.lease), { step, inFlight: new Set(tookOver.inFlight) })
  }
  const unanswered = new Set(
    facts.outcome.history
      .all('told')
      .flatMap(({ attempt, id, status }) => (status === 'unknown' ? `${attempt} ${id}` : [])),
  )
  return [...facts.arrivals.values()].flat().flatMap(({ id, attempt, lease, step }) => {
    const end = ended.get(keyOf(lease))
    if (!end || step < end.step || end.inFlight.has(id) || unanswered.has(`${attempt} ${id}`)) return []
    return [
      {
        rule: 'echoes-are-marked',
        text: `an echo of epoch ${lease.epoch} was not in flight when it ended`,
        ids: [id],
        step,
      },
    ]
  })
}

/** A broker that fences stores nothing of an old owner after the new owner's first write to the partition. */
export function fencesHold(facts: Facts): readonly Violation[] {
  if (!facts.outcome.plan.broker.fences) return []
  const highest = new Map<number, number>()
  return [...facts.arrivals.values()]
    .flat()
    .sort((a, b) => a.step - b.step)
    .flatMap(({ id, step, lease: { partition, epoch } }) => {
      const before = highest.get(partition) ?? 0
      highest.set(partition, Math.max(before, epoch))
      return epoch < before
        ? [{ rule: 'fences-hold', text: `epoch ${epoch} was stored after ${before}`, ids: [id], step }]
        : []
    })
}

function keyOf(lease: { readonly partition: number; readonly epoch: number; readonly holder: string }): string {
  return `${lease.partition} ${lease.epoch} ${lease.holder}`
}
