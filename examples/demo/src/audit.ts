import type { Delivery } from './brokers/broker.ts'
import type { WrittenChange } from './stores/store.ts'

/** What the producers say of their work. */
export interface Told {
  /** how many events they were to commit */
  readonly asked: number
  /** ids of the changes whose transactions ended well, as far as they know */
  readonly committed: ReadonlySet<string>
}

export interface Audit {
  readonly asked: number
  readonly committed: number
  readonly delivered: number
  /** told as committed, and not in the database */
  readonly vanished: readonly string[]
  /** in the database, and never told as committed: rolled back on purpose, or nobody's */
  readonly unasked: readonly string[]
  /** committed, and not in the broker */
  readonly lost: readonly string[]
  /** first deliveries that came after a higher sequence, or a later revision, of their order */
  readonly outOfOrder: readonly string[]
  /** in the broker, and never committed */
  readonly leaked: readonly string[]
  /** in the broker under the name of one change, and with the content or the order of another */
  readonly altered: readonly string[]
  readonly repeats: number
  /** repeats that nothing accounts for */
  readonly unexplained: readonly string[]
}

/** What may come again. */
export interface Troubles {
  /** relays that ended with entries in hand, by being killed or by losing their leases */
  readonly interrupted: ReadonlySet<string>
  /** entries that the broker may have, though it did not say so in time */
  readonly unanswered: ReadonlySet<string>
}

/**
 * Holds what the broker has against what the database has, and that against what the producers say.
 *
 * A repeat is explained when the broker was too slow with an answer; or when one of the two deliveries came under an
 * older epoch, by a relay that was interrupted: killed after it had sent, or so late with its write that its heir came
 * first. Brokers that do not keep the relay's name vouch by the epochs alone, if any relay was interrupted.
 */
export function audit(
  told: Told,
  committed: readonly WrittenChange[],
  deliveries: readonly Delivery[],
  troubles: Troubles,
): Audit {
  const expected = new Map(committed.map((change) => [change.eventId, change]))
  const last = new Map<string, Delivery>()
  const highest = new Map<string, { readonly sequence: number; readonly revision: number }>()
  const outOfOrder: string[] = []
  const leaked: string[] = []
  const altered = new Set<string>()
  const unexplained: string[] = []
  let repeats = 0
  for (const delivery of deliveries) {
    const { id, sequence } = delivery
    const before = last.get(id)
    last.set(id, delivery)
    const change = expected.get(id)
    if (change === undefined) {
      leaked.push(id)
      continue
    }
    if (!tellsOf(delivery, change)) altered.add(id)
    if (before) {
      repeats += 1
      if (!isExplained(before, delivery, troubles)) unexplained.push(id)
      continue
    }
    const { orderId, revision } = change
    const { sequence: ofSequence, revision: ofRevision } = highest.get(orderId) ?? { sequence: 0, revision: 0 }
    if (sequence <= ofSequence || revision <= ofRevision) outOfOrder.push(id)
    else highest.set(orderId, { sequence, revision })
  }
  const lost = [...expected.keys()].filter((id) => !last.has(id))
  return {
    asked: told.asked,
    committed: expected.size,
    delivered: expected.size - lost.length,
    vanished: [...told.committed].filter((id) => !expected.has(id)),
    unasked: [...expected.keys()].filter((id) => !told.committed.has(id)),
    lost,
    outOfOrder,
    leaked,
    altered: [...altered],
    repeats,
    unexplained,
  }
}

/** Whether envelope and payload say what the database says. */
function tellsOf({ orderId, payload }: Delivery, change: WrittenChange): boolean {
  const said = isRecord(payload) ? payload : {}
  return (
    orderId === change.orderId &&
    said['eventId'] === change.eventId &&
    said['orderId'] === change.orderId &&
    said['revision'] === change.revision
  )
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isExplained(before: Delivery, repeat: Delivery, { interrupted, unanswered }: Troubles): boolean {
  if (unanswered.has(repeat.id)) return true
  if (repeat.epoch === before.epoch) return false
  const { relay } = repeat.epoch < before.epoch ? repeat : before
  return relay === undefined ? interrupted.size > 0 : interrupted.has(relay)
}

export function isClean(result: Audit): boolean {
  return result.committed === result.asked && offendersIn(result).length === 0
}

/** The audit in a line, and what offends below it where anything does. */
export function formatAudit(result: Audit): string {
  const { asked, committed } = result
  const explained = result.unexplained.length === 0 ? 'each explained' : `${result.unexplained.length} NOT explained`
  const line = [
    `committed ${committed}${committed === asked ? '' : ` of ${asked} ASKED FOR`}`,
    `delivered ${result.delivered}`,
    `lost ${result.lost.length}`,
    `out of order ${result.outOfOrder.length}`,
    `leaked from rollbacks ${result.leaked.length}`,
    ...(result.altered.length === 0 ? [] : [`ALTERED ${result.altered.length}`]),
    `repeats ${result.repeats} (${explained})`,
  ].join(' · ')
  return [line, ...offendersIn(result).map(([what, ids]) => `  ${what}: ${firstOf(ids)}`)].join('\n')
}

function offendersIn(result: Audit): readonly (readonly [what: string, ids: readonly string[]])[] {
  const all = {
    'told as committed, not in the database': result.vanished,
    'in the database, never told as committed': result.unasked,
    lost: result.lost,
    'out of order': result.outOfOrder,
    leaked: result.leaked,
    'with the content of another': result.altered,
    'not explained': result.unexplained,
  }
  return Object.entries(all).filter(([, ids]) => ids.length > 0)
}

const shown = 20

function firstOf(ids: readonly string[]): string {
  const rest = ids.length - shown
  return ids.slice(0, shown).join(' ') + (rest > 0 ? ` … and ${rest} more` : '')
}
