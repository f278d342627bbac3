import type { DueEntry } from './entry.ts'
import { OutboxError } from './errors.ts'
import type { Invalid } from './json.ts'
import { invalidOption, knownOptions, requireCount, requireMs } from './options.ts'
import type { Awaitable, CallOptions } from './outbox.ts'
import { publishInOrder } from './publish-in-order.ts'

/** What became of one entry at the broker. */
export type PublishOutcome =
  /** the broker has it, durably as far as it promises; `duplicate`: it had it already */
  | { readonly status: 'published'; readonly duplicate?: boolean }
  /** refused this time; trying again may help */
  | { readonly status: 'retry'; readonly error: unknown }
  /** refused for ever: too large, no such subject */
  | { readonly status: 'reject'; readonly error: unknown }
  /** the broker is away or takes nothing now, and has stored nothing: nobody's fault */
  | { readonly status: 'unavailable'; readonly error: unknown }
  /** sent, and not answered: it may have arrived */
  | { readonly status: 'unknown'; readonly error: unknown }
  /** the broker knows a newer owner of the partition, whose epoch is given if the broker tells; nothing was written */
  | { readonly status: 'fenced'; readonly epoch?: number }
  /** not tried, because an earlier entry of its aggregate was not published */
  | { readonly status: 'notSent' }

export interface PublisherCapabilities {
  /** larger payloads become dead letters without being sent */
  readonly maxPayloadBytes?: number
  /** how long the broker drops repeats; undefined: it does not */
  readonly dedupeWindowMs?: number
  /** false: the relay hands over at most one entry per aggregate at a time */
  readonly keepsOrderInBatch: boolean
}

/**
 * Moves entries to a broker.
 *
 * `publish` promises:
 * - One outcome per entry, in the order given.
 * - Entries of one aggregate reach the broker in the order given. After the first that is not `published`, the rest of
 *   that aggregate is `notSent`; or `unknown`, where it was sent together with it and may have arrived.
 * - When `signal` aborts, it ends soon: what was sent and not answered is `unknown`, the rest `notSent`.
 *
 * It may be called again before the last call has ended, never with entries of the same aggregate.
 *
 * A `publish` that rejects speaks for every entry: `unknown` if the signal was aborted, otherwise `unavailable` for an
 * error of that code, and `retry` for any other. An outcome `retry` or `unknown` whose error has the code
 * `callback-failed` counts no attempt.
 */
export interface Publisher {
  /** names the destination in events and errors */
  readonly name: string
  readonly capabilities: PublisherCapabilities
  publish(entries: readonly DueEntry[], options: { readonly signal: AbortSignal }): Promise<readonly PublishOutcome[]>
  /**
   * Looks at the set-up once, at start.
   *
   * @param options.retryHorizonMs - how long after its first try an entry may be sent again
   * @returns warnings, for people
   * @throws {OutboxError} `setup-required` when it cannot work; `unavailable` when the broker is away
   */
  check?(options: { readonly retryHorizonMs: number } & CallOptions): Promise<readonly string[]>
  /** Resolves when the broker answers; rejects when it does not. Changes nothing there. */
  probe?(options: CallOptions): Promise<void>
}

/** Nothing more to ask of what `send` returns, or the reason why it will not do. */
type NothingOnly<Result> = [Result] extends [Awaitable<void>]
  ? unknown
  : Invalid<'return nothing: look at the answer, and throw if it failed'>

export interface SendPublisherOptions<Result = Awaitable<void>> {
  /** names the destination in events and errors */
  readonly name: string
  /** larger payloads become dead letters without being sent */
  readonly maxPayloadBytes?: number | undefined
  /** how long the destination drops repeats of a `deduplicationId`, milliseconds */
  readonly dedupeWindowMs?: number | undefined
  /** aggregates that one `publish` sends at once, default 16 */
  readonly concurrency?: number | undefined
  /**
   * Sends one entry: returning means published, throwing means retry, throwing `permanent(…)` a dead letter,
   * `unavailable(…)` an outage in which nothing was stored, `unanswered(…)` that nobody knows whether it was. Pass the
   * signal on, so that an aborted send stops.
   *
   * One that returns an answer does not compile: nobody would look at it, and many clients, `fetch` among them, return a
   * failure as they return a success.
   */
  readonly send: (
    entry: DueEntry,
    options: { readonly signal: AbortSignal },
  ) => (Result & NothingOnly<Result>) | Promise<void>
  /**
   * Resolves when the destination answers, rejects when it does not, and changes nothing there. With it, a send without
   * an answer counts as an attempt only while the destination answers; without it, each counts.
   */
  readonly probe?: ((options: CallOptions) => Promise<void>) | undefined
}

/**
 * Makes a publisher from one function that sends one entry.
 *
 * Aggregates are sent side by side, the entries of one aggregate one after the other; an aggregate stops at its first
 * failure. When the signal aborts, `publish` ends without waiting: a send that has not ended is `unknown`, as it may
 * arrive yet, and the rest is `notSent`.
 *
 * @throws {OutboxError} `invalid-option`, saying what to write instead
 *
 * @example
 * ```ts
 * const webhook = publisher({ name: 'webhook', send: (entry, { signal }) => post(entry.payload, signal) })
 * ```
 */
export function publisher<Result>(options: SendPublisherOptions<Result>): Publisher {
  const given = knownOptions('publisher', options, known)
  const { name, maxPayloadBytes, dedupeWindowMs, concurrency = 16, send, probe } = given
  if (typeof name !== 'string' || !name) throw invalidOption('publisher', 'name', 'must be a text')
  requireFunction('send', send)
  if (probe !== undefined) requireFunction('probe', probe)
  requireCount('publisher', 'concurrency', concurrency)
  if (maxPayloadBytes !== undefined) requireCount('publisher', 'maxPayloadBytes', maxPayloadBytes)
  if (dedupeWindowMs !== undefined) requireMs('publisher', 'dedupeWindowMs', dedupeWindowMs)
  return {
    name,
    capabilities: {
      keepsOrderInBatch: true,
      ...(maxPayloadBytes === undefined ? {} : { maxPayloadBytes }),
      ...(dedupeWindowMs === undefined ? {} : { dedupeWindowMs }),
    },
    async publish(entries, { signal }) {
      const aborted = abortOf(signal)
      try {
        return await publishInOrder(entries, { width: concurrency, signal }, (entry) =>
          Promise.race([sendOne(entry, send, signal), aborted.outcome]),
        )
      } finally {
        aborted.forget()
      }
    },
    ...(probe && { probe }),
  }
}

const known: Readonly<Record<keyof SendPublisherOptions, true>> = {
  name: true,
  maxPayloadBytes: true,
  dedupeWindowMs: true,
  concurrency: true,
  send: true,
  probe: true,
}

function requireFunction(option: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidOption('publisher', option, 'must be a function')
}

/** The outcome of whatever is in flight when the signal aborts; never settles if it does not. */
function abortOf(signal: AbortSignal): { readonly outcome: Promise<PublishOutcome>; readonly forget: () => void } {
  let onAbort = (): void => {}
  const outcome = new Promise<PublishOutcome>((resolve) => {
    onAbort = () => resolve({ status: 'unknown', error: signal.reason })
  })
  signal.addEventListener('abort', onAbort, { once: true })
  return { outcome, forget: () => signal.removeEventListener('abort', onAbort) }
}

/** Never rejects. */
async function sendOne(
  entry: DueEntry,
  send: (entry: DueEntry, options: { readonly signal: AbortSignal }) => unknown,
  signal: AbortSignal,
): Promise<PublishOutcome> {
  try {
    await send(entry, { signal })
    return { status: 'published' }
  } catch (error) {
    if (OutboxError.is(error, 'rejected')) return { status: 'reject', error }
    if (OutboxError.is(error, 'unavailable')) return { status: 'unavailable', error }
    const isUnknown = signal.aborted || OutboxError.is(error, 'unanswered')
    return { status: isUnknown ? 'unknown' : 'retry', error }
  }
}
