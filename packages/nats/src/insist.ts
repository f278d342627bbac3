import { type Clock, OutboxError, type PublishOutcome } from '@outbox/core'
import { InProcessError } from './answers.ts'

/** Pauses before a message that nobody took is sent again, milliseconds: a stream that only changes its leader has one by then. */
const pausesMs = Object.freeze([50, 250])

export interface InsistOptions {
  readonly clock: Clock
  /** how long the broker is given to answer, milliseconds */
  readonly ackTimeoutMs: number
  readonly signal: AbortSignal
  /** whether it makes sense to send at all */
  readonly isConnected: () => boolean
}

/**
 * Sends a message again where a change of the stream's leader may be all that is wrong, so that it costs no attempt.
 *
 * What was not taken is sent again twice, after short pauses. What was not answered is sent again once, under the same
 * id: the leader that had it may be gone, and the next one knows whether it was stored. If that answer too leaves it open,
 * the outcome stays `unknown`. A message that the leader has under way already is sent again once, too, after
 * `ackTimeoutMs`.
 */
export async function insist(
  send: () => Promise<PublishOutcome>,
  { clock, ackTimeoutMs, signal, isConnected }: InsistOptions,
): Promise<PublishOutcome> {
  let outcome = await send()
  for (const pauseMs of pausesMs) {
    if (outcome.status !== 'unavailable' || isForbidden(outcome.error) || !isConnected()) break
    await pause(pauseMs, clock, signal)
    if (signal.aborted) return outcome
    outcome = await send()
  }
  if (outcome.status !== 'unknown') return outcome
  if (outcome.error instanceof InProcessError) await pause(ackTimeoutMs, clock, signal)
  if (signal.aborted || !isConnected()) return outcome
  const second = await send()
  // A refusal of the second says nothing of the first, which may be stored. `fenced` ends the matter, stored or not.
  return second.status === 'published' || second.status === 'fenced' ? second : outcome
}

/** Waits for a person, and not for a leader. */
function isForbidden(error: unknown): boolean {
  return OutboxError.is(error, 'setup-required')
}

/** Ends early when the signal aborts. */
function pause(milliseconds: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const end = (): void => {
      cancel()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const cancel = clock.schedule(end, milliseconds)
    signal.addEventListener('abort', end)
  })
}
