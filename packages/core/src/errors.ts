/** What each error code carries. Codes are part of the public contract: they are added, never reworded. */
export interface ErrorDetails {
  /** An event cannot be written as it is. `path` leads into the event; `limit` is in the unit the message names. */
  readonly 'invalid-event': { readonly index: number; readonly path: string; readonly limit?: number }
  /** An option of a factory, or an argument of a method, cannot work. */
  readonly 'invalid-option': { readonly option: string }
  /** The handle given to `enqueue` is not an open transaction: nothing was written. */
  readonly 'not-a-transaction': { readonly reason: 'no-transaction' | 'finished' | 'wrong-handle' }
  /** Another entry has this sequence of this aggregate: two writers met. Nothing was written. */
  readonly 'sequence-conflict': {
    readonly aggregateType: string
    readonly aggregateId: string
    readonly sequence: number
  }
  /** An aggregate type is numbered by the caller or by the store, never by both. Nothing was written. */
  readonly 'sequence-source-mixed': { readonly aggregateType: string }
  /** A table, an index, a stream or a privilege is missing or too old. */
  readonly 'setup-required': { readonly missing: readonly string[] }
  /** The database or the broker cannot be reached. Retryable. */
  readonly unavailable: { readonly system: string }
  /** A deadlock, a serialization conflict or a lock time-out: run the whole transaction again. Retryable. */
  readonly busy: { readonly system: string }
  /** The broker will never take this message. */
  readonly rejected: { readonly system: string }
  /** A message was sent, and nobody knows whether it was stored. Retryable. */
  readonly unanswered: { readonly system: string }
  /** A function that you gave threw, or answered what is no answer. `callback` says which. The relay counts no attempt. */
  readonly 'callback-failed': { readonly callback: string }
}

export type ErrorCode = keyof ErrorDetails

const retryable: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['unavailable', 'busy', 'unanswered'])
const marker = '@outbox/core/error'

/**
 * The one error class of @outbox: tell errors apart by their literal `code`, never by their text.
 *
 * Messages say what happened, where, and what to do; they hold no payload and no secret, but for `callback-failed`,
 * which says what your function threw. `isRetryable` means that the same call (for `busy`: the same transaction, from
 * its beginning) may succeed later.
 */
export class OutboxError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'OutboxError'
  readonly code: Code
  readonly details: ErrorDetails[Code]
  readonly isRetryable: boolean
  /** marks the class across copies of this package; use `OutboxError.is` */
  readonly '@outbox/core/error' = true

  constructor(code: Code, message: string, details: ErrorDetails[Code], options?: ErrorOptions) {
    // an error in the place of options is meant as the cause: its own cause would be taken for it
    super(message, options instanceof Error ? { cause: options } : options)
    this.code = code
    this.details = details
    this.isRetryable = retryable.has(code)
  }

  /**
   * As `is`, for the class itself: `instanceof` narrows by code, too, and holds across two copies of this package. The type
   * of a subclass is not narrowed to: tell errors of your own by a code of your own.
   */
  static override [Symbol.hasInstance](value: unknown): value is AnyOutboxError {
    // biome-ignore lint/complexity/noThisInStatic: a subclass inherits it, and is asked for itself
    return this === OutboxError ? OutboxError.is(value) : super[Symbol.hasInstance](value)
  }

  /**
   * True for an outbox error, of the given code if one is named; also across two copies of this package. Its `code` then
   * tells what its `details` are.
   */
  static is(error: unknown): error is AnyOutboxError
  static is<Code extends ErrorCode>(error: unknown, code: Code): error is OutboxError<Code>
  static is(error: unknown, code?: ErrorCode): boolean {
    return (
      typeof error === 'object' &&
      error !== null &&
      marker in error &&
      // as a callback it is given an index here
      (typeof code !== 'string' || (error as { code?: unknown }).code === code)
    )
  }
}

/** An outbox error of some code. */
export type AnyOutboxError = { readonly [Code in ErrorCode]: OutboxError<Code> }[ErrorCode]

/** Makes the error that a publisher's `send` throws; `system` names who answered so, 'broker' by default. */
type SendFailure<Code extends ErrorCode> = (
  message: string,
  options?: ErrorOptions & { readonly system?: string },
) => OutboxError<Code>

function sendFailure<Code extends 'rejected' | 'unavailable' | 'unanswered'>(code: Code): SendFailure<Code> {
  return (message, options) => new OutboxError(code, message, { system: options?.system ?? 'broker' }, options)
}

/** Thrown by a publisher's `send`: the broker will never take this message, so it becomes a dead letter at once. */
export const permanent: SendFailure<'rejected'> = sendFailure('rejected')

/**
 * Thrown by a publisher's `send`: the broker is away, and has stored nothing. No attempt is counted; publishing pauses
 * until it is back.
 */
export const unavailable: SendFailure<'unavailable'> = sendFailure('unavailable')

/**
 * Thrown by a publisher's `send`: the message was sent, and nobody knows whether it was stored. It is sent again; the
 * partition stays with this relay until nothing can arrive any more. An attempt is counted unless the publisher has a
 * probe that fails: without a probe, a long outage makes dead letters.
 */
export const unanswered: SendFailure<'unanswered'> = sendFailure('unanswered')
