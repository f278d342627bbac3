import { inScan } from './entries.ts'
import type { CollectionKind } from './names.ts'
import type { Document } from './values.ts'

/**
 * The version of the outbox's collections. Raise it with every change that the indexes do not tell, and let the
 * migration write it down: the document `version` of the collection `meta`.
 */
export const layoutVersion = 1

/** The version of the inbox's collection, likewise: the document `inbox-version`. */
export const inboxVersion = 1

/** An index as `setup` makes it and `check` wants to find it. */
export interface IndexLayout {
  readonly name: string
  readonly key: Readonly<Record<string, 1>>
  readonly unique?: true
  readonly partialFilterExpression?: Document
}

const isPending: Document = Object.freeze({ state: 'pending' })

/** Queries name what is in a partial index's condition word for word: that is what lets the planner use it. */
export const indexes: Readonly<Record<CollectionKind, readonly IndexLayout[]>> = Object.freeze({
  entries: [
    { name: 'sequence', key: { aggregate: 1, sequence: 1 }, unique: true },
    // what fetch meets: the front of each partition, and what was set aside
    {
      name: 'scan',
      key: { partition: 1, position: 1 },
      partialFilterExpression: { state: 'pending', asideUntil: inScan },
    },
    {
      name: 'aside',
      key: { partition: 1, asideUntil: 1 },
      partialFilterExpression: { state: 'pending', asideUntil: { $gt: inScan } },
    },
    // what it lends: the pending entries of an aggregate, in order, however many published ones stand before them
    { name: 'order', key: { aggregate: 1, sequence: 1 }, partialFilterExpression: isPending },
    { name: 'hold', key: { partition: 1, aggregate: 1, holdsUntil: 1 }, partialFilterExpression: exists('holdsUntil') },
    { name: 'suspect', key: { partition: 1, position: 1 }, partialFilterExpression: { crashes: { $gt: 0 } } },
    { name: 'dead', key: { position: 1, _id: 1 }, partialFilterExpression: { state: 'dead' } },
    { name: 'ended', key: { endedAt: 1 }, partialFilterExpression: exists('endedAt') },
  ],
  sequences: [],
  relays: [],
  leases: [],
  meta: [],
  inbox: [{ name: 'handled', key: { handledAt: 1 } }],
})

function exists(field: string): Document {
  return Object.freeze({ [field]: { $exists: true } })
}
