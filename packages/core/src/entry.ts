import type { JsonText } from './json.ts'

/** Text beside the payload: trace context, tenant, content hints. Names are HTTP tokens, compared as written. */
export type Headers = Readonly<Record<string, string>>

/** What an entry says, whoever holds it. */
export interface EntryContent {
  /** UUID: the row's key, what makes `enqueue` idempotent, the id that consumers see, for ever */
  readonly id: string
  /** dotted, `order.placed` */
  readonly eventType: string
  /** `order` */
  readonly aggregateType: string
  readonly aggregateId: string
  /** ascending per aggregate; gaps mean nothing */
  readonly sequence: number
  /** when it happened, by the clock of whoever says so: for people, never for order */
  readonly occurredAt: Date
  /** JSON text, never parsed between the row and the wire */
  readonly payload: JsonText
  readonly headers: Headers
}

/** One event as it stands in the outbox. */
export type OutboxEntry = EntryContent & {
  /** 0 to 63, from the aggregate's type and id */
  readonly partition: number
} & (
    | { readonly published: false; readonly publishedAt: null }
    | { readonly published: true; readonly publishedAt: Date }
  )

/** An entry on its way in: checked, serialised, perhaps still to be numbered by the store. */
export interface NewEntry extends Omit<EntryContent, 'sequence'> {
  /** `undefined`: the store assigns the aggregate's next one */
  readonly sequence: number | undefined
  readonly partition: number
}

/** The right to work on one partition: at most one lease of a partition is live. */
export interface Lease {
  readonly partition: number
  /** raised by every grant; with the holder it fences: a settle under an older lease changes nothing */
  readonly epoch: number
  /** random, one per relay incarnation: an asynchronous fail-over can grant an epoch twice, never to one holder */
  readonly holder: string
}

/** An entry that is due, lent to a relay under a lease. */
export interface DueEntry extends EntryContent {
  readonly lease: Lease
  /** names the outbox that the entry comes from; survives a restore of the database */
  readonly source: string
  /** 1 at the first try; counts the tries that the broker refused, not outages */
  readonly attempt: number
  /** how often a relay died while this entry was in its hands; from 2 on it is lent alone */
  readonly crashes: number
  /** what the broker deduplicates on: the id, and after n requeues `id#n` */
  readonly deduplicationId: string
  /** a later sequence of its aggregate was published before this one was committed */
  readonly isLate: boolean
}
