import type { Clock } from '@outbox/core'

/** Calls back once, after `delayMs` or when `signal` aborts if that is sooner; the returned function takes it back. */
export function whenOver(clock: Clock, delayMs: number, signal: AbortSignal, callback: () => void): () => void {
  const end = (): void => {
    cancel()
    signal.removeEventListener('abort', call)
  }
  const call = (): void => {
    end()
    callback()
  }
  const cancel = clock.schedule(call, delayMs)
  signal.addEventListener('abort', call)
  return end
}

/** Waits `delayMs`, or until `signal` aborts. */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise<void>((resolve) => whenOver(clock, delayMs, signal, resolve))
}
