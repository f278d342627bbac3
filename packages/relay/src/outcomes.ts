import { type DueEntry, OutboxError, type Publisher, type PublishOutcome, permanent } from '@outbox/core'
import { callbackFailed } from '@outbox/core/adapter'

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
 * A publisher that rejects has published nothing as far as anybody knows: after `signal` aborted that is `unknown`,
 * before it is a defect, unless the publisher says that its destination is away. What is no answer leaves open what was
 * sent, and is a bug of the publisher that no entry is to blame for: `unknown`, with `callback-failed`.
 *
 * `notSent` is believed, also of an aggregate's first entry: it counts no attempt, and nothing is told.
 *
 * @param onDefect - told why it rejected
 */
export async function outcomesOf(
  publisher: Publisher,
  entries: readonly DueEntry[],
  signal: AbortSignal,
  onDefect: (error: unknown) => void = () => undefined,
): Promise<readonly PublishOutcome[]> {
  try {
    // what is no list has none, and what was left out of a list is none
    const outcomes: readonly PublishOutcome[] = Array.from(Object(await publisher.publish(entries, { signal })))
    if (outcomes.length === entries.length && outcomes.every(isOutcome)) return outcomes
    const problem = `gave ${outcomes.length} outcomes for ${entries.length} entries, or one without a status that exists, or with an epoch that is no number`
    const error = callbackFailed(`publish of '${publisher.name}'`, problem)
    return entries.map(() => ({ status: 'unknown', error }))
  } catch (error) {
    const status = signal.aborted ? 'unknown' : OutboxError.is(error, 'unavailable') ? 'unavailable' : 'retry'
    if (status === 'retry' && !OutboxError.is(error, 'callback-failed')) onDefect(error)
    return entries.map(() => ({ status, error }))
  }
}

/** The refusal of a payload that is larger than the publisher takes; undefined: it takes it. */
export function oversizeOf({ payload }: DueEntry, { name, capabilities }: Publisher): OutboxError | undefined {
  const limit = capabilities.maxPayloadBytes
  if (limit === undefined) return undefined
  const bytes = Buffer.byteLength(payload)
  if (bytes <= limit) return undefined
  return permanent(`The payload is ${bytes} bytes; '${name}' takes ${limit} at most.`, { system: name })
}

/** A publisher is somebody's own code: its answers are looked at before they become settlements. */
function isOutcome(value: { readonly status?: unknown; readonly epoch?: unknown } | null | undefined): boolean {
  if (typeof value?.status !== 'string' || !Object.hasOwn(statuses, value.status)) return false
  return value.epoch === undefined || Number.isSafeInteger(value.epoch)
}
