import { type Clock, OutboxError } from '@outbox/core'

/** A promise and its ends. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/**
 * Runs a call that must answer in time: after `timeoutMs`, or when `abort` aborts, its signal aborts and the result
 * rejects, whether the call listens or not. A late answer is dropped.
 */
export async function within<T>(
  clock: Clock,
  limit: { readonly timeoutMs: number; readonly system: string; readonly abort?: AbortSignal },
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const timeUp = deferred<never>()
  const end = (error: unknown): void => {
    controller.abort(error)
    timeUp.reject(error)
  }
  const onAbort = (): void => end(limit.abort?.reason)
  const cancel = clock.schedule(() => end(noAnswer(limit.system, limit.timeoutMs)), limit.timeoutMs)
  limit.abort?.addEventListener('abort', onAbort, { once: true })
  try {
    if (limit.abort?.aborted) throw limit.abort.reason
    return await Promise.race([call(controller.signal), timeUp.promise])
  } finally {
    cancel()
    limit.abort?.removeEventListener('abort', onAbort)
  }
}

function noAnswer(system: string, timeoutMs: number): OutboxError<'unavailable'> {
  return new OutboxError('unavailable', `The ${system} did not answer within ${timeoutMs} ms.`, { system })
}

/**
 * A door bell: `ring` lets the one who waits go on, now or at the next `wait`; rings in between count once.
 * `ringIn` rings later; the earliest of several such rings counts.
 */
export class Bell {
  readonly #clock: Clock
  #isRung = false
  #waiter: Deferred<void> | undefined
  #timer: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  ring(): void {
    this.#isRung = true
    this.#waiter?.resolve()
  }

  ringIn(delayMs: number): void {
    const at = this.#clock.monotonic() + delayMs
    if (this.#timer && this.#timer.at <= at) return
    this.#timer?.cancel()
    const cancel = this.#clock.schedule(() => {
      this.#timer = undefined
      this.ring()
    }, delayMs)
    this.#timer = { at, cancel }
  }

  /** Only one may wait at a time. */
  async wait(): Promise<void> {
    if (!this.#isRung) {
      this.#waiter = deferred()
      await this.#waiter.promise
      this.#waiter = undefined
    }
    this.#isRung = false
  }

  /** Takes back what `ringIn` planned. */
  quiet(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}

/** Waits `delayMs`, or until `signal` aborts. */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  const bell = new Bell(clock)
  const ring = (): void => bell.ring()
  if (signal.aborted) return
  signal.addEventListener('abort', ring, { once: true })
  bell.ringIn(delayMs)
  await bell.wait()
  bell.quiet()
  signal.removeEventListener('abort', ring)
}
