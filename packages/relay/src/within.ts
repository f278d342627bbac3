import { type Clock, unavailable } from '@outbox/core'
import { deferred } from './deferred.ts'
import { whenOver } from './pause.ts'

export interface TimeLimit {
  /** whose answer is waited for */
  readonly system: string
  readonly timeoutMs: number
  /** nobody needs the answer any more */
  readonly abort: AbortSignal
  /** how long a call that was told to stop may take to say how far it came, cut short by `end`; default not at all */
  readonly grace?: { readonly ms: number; readonly end: AbortSignal }
}

/**
 * Runs a call that must answer in time: after `timeoutMs`, or when `abort` aborts, its signal aborts, and when the grace
 * is over the result rejects, whether the call listens or not. A late answer is dropped.
 */
export async function within<T>(
  clock: Clock,
  { system, timeoutMs, abort, grace }: TimeLimit,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (abort.aborted) throw abort.reason
  const controller = new AbortController()
  const gaveUp = deferred<never>()
  const giveUp = (): void => gaveUp.reject(controller.signal.reason)
  let cancel = whenOver(clock, timeoutMs, abort, () => {
    controller.abort(
      abort.aborted ? abort.reason : unavailable(`'${system}' did not answer within ${timeoutMs} ms.`, { system }),
    )
    if (grace) cancel = whenOver(clock, grace.ms, grace.end, giveUp)
    else giveUp()
  })
  try {
    return await Promise.race([call(controller.signal), gaveUp.promise])
  } finally {
    cancel()
  }
}
