import type { Delivery } from './brokers/broker.ts'
import type { Change } from './stores/store.ts'

export interface Audit {
  readonly committed: number
  readonly delivered: number
  /** committed, and not in the broker */
  readonly lost: readonly string[]
  /** first deliveries that came after a higher sequence of their order */
  readonly outOfOrder: readonly string[]
  /** in the broker, and never committed */
  readonly leaked: readonly string[]
  readonly repeats: number
  /** repeats that nothing accounts for */
  readonly unexplained: readonly string[]
}

/** Relays that ended with batches in hand, by being killed or by losing their leases: what they had sent may come again. */
export type Interrupted = ReadonlySet<string>

/**
 * Holds what the broker has against what the database has.
 *
 * A repeat is explained when one of the two deliveries came under an older epoch, by a relay that was interrupted: killed
 * after it had sent, or so late with its write that its heir came first. Brokers that do not keep the relay's name vouch
 * by the epochs alone, if any relay was interrupted.
 */
export function audit(committed: readonly Change[], deliveries: readonly Delivery[], interrupted: Interrupted): Audit {
  const expected = new Set(committed.map(({ eventId }) => eventId))
  const last = new Map<string, Delivery>()
  const highest = new Map<string, number>()
  const outOfOrder: string[] = []
  const leaked: string[] = []
  const unexplained: string[] = []
  let repeats = 0
  for (const delivery of deliveries) {
    const { id, orderId, sequence } = delivery
    const before = last.get(id)
    last.set(id, delivery)
    if (!expected.has(id)) leaked.push(id)
    else if (before) {
      repeats += 1
      if (!isExplained(before, delivery, interrupted)) unexplained.push(id)
    } else if (sequence <= (highest.get(orderId) ?? 0)) outOfOrder.push(id)
    else highest.set(orderId, sequence)
  }
  const lost = [...expected].filter((id) => !last.has(id))
  const delivered = expected.size - lost.length
  return { committed: expected.size, delivered, lost, outOfOrder, leaked, repeats, unexplained }
}

function isExplained(before: Delivery, repeat: Delivery, interrupted: Interrupted): boolean {
  if (repeat.epoch === before.epoch) return false
  const { relay } = repeat.epoch < before.epoch ? repeat : before
  return relay === undefined ? interrupted.size > 0 : interrupted.has(relay)
}

export function isClean({ lost, outOfOrder, leaked, unexplained }: Audit): boolean {
  return lost.length + outOfOrder.length + leaked.length + unexplained.length === 0
}

/** The audit in a line, and the offending entries below it where there are any. */
export function formatAudit(result: Audit): string {
  const explained = result.unexplained.length === 0 ? 'each explained' : `${result.unexplained.length} NOT explained`
  const line = [
    `committed ${result.committed}`,
    `delivered ${result.delivered}`,
    `lost ${result.lost.length}`,
    `out of order ${result.outOfOrder.length}`,
    `leaked from rollbacks ${result.leaked.length}`,
    `repeats ${result.repeats} (${explained})`,
  ].join(' · ')
  const offenders = Object.entries({
    lost: result.lost,
    'out of order': result.outOfOrder,
    leaked: result.leaked,
    'not explained': result.unexplained,
  })
  return [
    line,
    ...offenders.filter(([, ids]) => ids.length > 0).map(([what, ids]) => `  ${what}: ${firstOf(ids)}`),
  ].join('\n')
}

const shown = 20

function firstOf(ids: readonly string[]): string {
  const rest = ids.length - shown
  return ids.slice(0, shown).join(' ') + (rest > 0 ? ` … and ${rest} more` : '')
}
