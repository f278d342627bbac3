import type { Breaker } from './breaker.ts'
import type { Attempt } from './publishing.ts'

/** Asks each destination that failed to answer whether it is away, once. */
export async function whoIsAway(attempts: readonly Attempt[], abort: AbortSignal): Promise<ReadonlySet<Breaker>> {
  const away = new Set<Breaker>()
  const tried = new Set(attempts.flatMap(({ breaker, isTried }) => (isTried && breaker) || []))
  const ask = async (breaker: Breaker): Promise<void> => {
    const outcomes = attempts.filter((attempt) => attempt.breaker === breaker).map(({ outcome }) => outcome)
    const outage = outcomes.find((outcome) => outcome.status === 'unavailable')
    const doubt = outage ?? outcomes.find((outcome) => outcome.status === 'unknown')
    if (doubt && (await breaker.openIfAway(doubt.error, doubt === outage, abort))) away.add(breaker)
  }
  await Promise.all([...tried].map(ask))
  return away
}
