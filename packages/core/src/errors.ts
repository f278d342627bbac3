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
}

export type ErrorCode = keyof ErrorDetails

const retryable: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['unavailable', 'busy'])
const marker = '@outbox/core/error'

/**
 * The one error class of @outbox: tell errors apart by their literal `code`, never by their text.
 *
 * Messages say what happened, where, and what to do; they hold no payload and no secret. `isRetryable` means
 * that the same call (for `busy`: the same transaction, from its beginning) may succeed later.
 */
export class OutboxError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'OutboxError'
  readonly code: Code
  readonly details: ErrorDetails[Code]
  readonly isRetryable: boolean
  /** marks the class across copies of this package; use `OutboxError.is` */
  readonly '@outbox/core/error' = true

  constructor(code: Code, message: string, details: ErrorDetails[Code], options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.details = details
    this.isRetryable = retryable.has(code)
  }

  /** True for an outbox error, of the given code if one is named; also across two copies of this package. */
  static is<Code extends ErrorCode = ErrorCode>(error: unknown, code?: Code): error is OutboxError<Code> {
    return (
      typeof error === 'object' &&
      error !== null &&
      marker in error &&
      (code === undefined || (error as { code?: unknown }).code === code)
    )
  }
}

/** Thrown by a publisher's `send`: the broker will never take this message, so it becomes a dead letter at once. */
export function permanent(
  message: string,
  options?: ErrorOptions & { readonly system?: string },
): OutboxError<'rejected'> {
  return new OutboxError('rejected', message, { system: options?.system ?? 'broker' }, options)
}

/** Thrown by a publisher's `send`: the broker is away. No attempt is counted; publishing pauses until it is back. */
export function unavailable(
  message: string,
  options?: ErrorOptions & { readonly system?: string },
): OutboxError<'unavailable'> {
  return new OutboxError('unavailable', message, { system: options?.system ?? 'broker' }, options)
}
