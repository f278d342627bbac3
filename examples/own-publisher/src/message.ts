import type { DueEntry } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { type ReceivedEntry, receivedEntry, wireFields } from '@outbox/core/wire'

// #region message
/** What goes over the wire, as JSON: the envelope's fields, the user's headers, the payload's own text. */
export interface Message {
  /** repeats of it are dropped */
  readonly deduplicationId: string
  /** messages of one group arrive in the order sent */
  readonly group: string
  /** a write under an older epoch of the same fence is refused */
  readonly fence: { readonly name: string; readonly epoch: number; readonly holder: string }
  readonly fields: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly payload: string
}

export function messageOf(entry: DueEntry): Message {
  const { deduplicationId, lease, source, headers, payload } = entry
  return {
    deduplicationId,
    group: aggregateKey(entry),
    fence: { name: `${source} ${lease.partition}`, epoch: lease.epoch, holder: lease.holder },
    fields: Object.fromEntries(wireFields(entry)),
    headers,
    payload,
  }
}

/** For consumers: of anything that JSON can be. @throws {OutboxError} `invalid-event` when it is not from an outbox */
export function decodeMessage(message: unknown): ReceivedEntry {
  // `receivedEntry` looks at each of them
  const { fields, headers, payload }: Message = Object(message)
  return receivedEntry({ field: (name) => fields?.[name], headers, payloadText: payload })
}
// #endregion
