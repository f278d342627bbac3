import { type DueEntry, OutboxError, type Publisher, type PublishOutcome } from '@outbox/core'

export const notSent: PublishOutcome = Object.freeze({ status: 'notSent' })

const statuses: { readonly [Status in PublishOutcome['status']]: true } = {
  published: true,
  retry: true,
  reject: true,
  unavailable: true,
  unknown: true,
  fenced: true,
  notSent: true,
}

/**
 * Publishes: one outcome per entry, whatever the publisher does. Never rejects.
 *
 * A publisher that rejects, or answers what is no answer, has published nothing as far as anybody knows: after `signal`
 * aborted that is `unknown`, before it is a defect, unless the publisher says that its destination is away.
 *
 * `notSent` is believed, also of an aggregate's first entry: it counts no attempt, and nothing is told.
 *
 * @param onDefect - told what was wrong
 */
export async function outcomesOf(
  publisher: Publisher,
  entries: readonly DueEntry[],
  signal: AbortSignal,
  onDefect: (error: unknown) => void = () => undefined,
): Promise<readonly PublishOutcome[]> {
  try {
    const outcomes = await publisher.publish(entries, { signal })
    if (outcomes.length !== entries.length) {
      throw new Error(`'${publisher.name}' gave ${outcomes.length} outcomes for ${entries.length} entries.`)
    }
    if (![...outcomes].every(isOutcome)) {
      // spread: `every` passes over what was left out
      throw new Error(`'${publisher.name}' gave an outcome without a status that exists.`)
    }
    return outcomes
  } catch (error) {
    const status = signal.aborted ? 'unknown' : OutboxError.is(error, 'unavailable') ? 'unavailable' : 'retry'
    if (status === 'retry') onDefect(error)
    return entries.map(() => ({ status, error }))
  }
}

/** A publisher is somebody's own code: its answers are looked at before they become settlements. */
function isOutcome(value: { readonly status?: unknown } | null | undefined): boolean {
  return typeof value?.status === 'string' && Object.hasOwn(statuses, value.status)
}
