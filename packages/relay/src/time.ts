import { type Clock, unavailable } from '@outbox/core'
import { whenOver } from './pause.ts'

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

/**
 * A door bell: each `ring` is answered, at once or when the call in hand has ended; rings in between count once.
 * `ringIn` rings later; the earliest of several such rings counts.
 */
export class Bell {
  readonly #clock: Clock
  #isRung = false
  #isOver = false
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
    this.quiet()
    const cancel = this.#clock.schedule(() => {
      this.#timer = undefined
      this.ring()
    }, delayMs)
    this.#timer = { at, cancel }
  }

  /** Answers the bell with `work`, one call at a time, until `end`. Only one may do so at a time. */
  async answer(work: () => Promise<void>): Promise<void> {
    for (;;) {
      if (!this.#isRung) {
        this.#waiter = deferred()
        await this.#waiter.promise
      }
      this.#isRung = false
      if (this.#isOver) break
      await work()
    }
    this.quiet()
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** No ring is answered any more; the call in hand ends by itself. */
  end(): void {
    this.#isOver = true
    this.quiet()
    this.ring()
  }

  /** Takes back what `ringIn` planned. */
  quiet(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
