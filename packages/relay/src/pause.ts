import type { Clock } from '@outbox/core'
import { invalidOption, shown } from '@outbox/core/adapter'

/** a timer takes no more */
export const maxTimerMs: number = 2 ** 31 - 1

/** @throws {OutboxError} `invalid-option` for what a timer does not take */
export function requireTimer(of: string, option: string, value: unknown): void {
  if (typeof value === 'number' && value >= 1 && value <= maxTimerMs) return
  throw invalidOption(of, option, `is ${shown(value)}: write milliseconds, from 1 to ${maxTimerMs}`)
}

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
