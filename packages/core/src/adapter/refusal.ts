import { OutboxError } from '../errors.ts'
import type { PublishOutcome } from '../publisher.ts'

/** For publishers: the outcome of an entry that met an error before it was sent. One that is `rejected` will not be tried again. */
export function refusal(error: unknown): PublishOutcome {
  return { status: OutboxError.is(error, 'rejected') ? 'reject' : 'retry', error }
}
