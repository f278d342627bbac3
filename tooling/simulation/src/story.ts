import type { Lease } from '@outbox/core'
import type { EntryName, Recorded } from './history.ts'
import { namesIn } from './rules/facts.ts'
import type { Violation } from './rules/index.ts'
import type { Outcome } from './run.ts'

/** Tells in words what happened to the entries that a violation names, and to their partitions. */
export function storyOf(outcome: Outcome, violation: Violation): readonly string[] {
  const names = namesIn(outcome.history)
  const ids = new Set(violation.ids)
  const partitions = new Set([...ids].flatMap((id) => names.get(id)?.partition ?? []))
  return outcome.history.deeds.flatMap((deed) => {
    const text = tell(deed, { names, ids, partitions })
    return text === undefined ? [] : [`${(deed.at / 1_000).toFixed(3).padStart(9)} s  ${text}`]
  })
}

interface Interest {
  readonly names: ReadonlyMap<string, EntryName>
  readonly ids: ReadonlySet<string>
  readonly partitions: ReadonlySet<number>
}

function tell(deed: Recorded, { names, ids, partitions }: Interest): string | undefined {
  const nameOf = (id: string): string => {
    const name = names.get(id)
    return name ? `${name.aggregate.replace('\u001f', ' ')}/${name.sequence}` : id
  }
  const ours = (list: readonly { readonly id: string }[]): string =>
    list
      .filter(({ id }) => ids.has(id))
      .map(({ id }) => nameOf(id))
      .join(', ')
  switch (deed.kind) {
    case 'fault':
    case 'violation':
      return `— ${deed.text}`
    case 'committed':
      return ours(deed.entries) ? `committed: ${ours(deed.entries)}` : undefined
    case 'granted': {
      if (!partitions.has(deed.lease.partition)) return undefined
      const { tookOver } = deed
      const marked = tookOver?.inFlight.map(nameOf).join(', ')
      return `${told(deed.lease)} granted${tookOver ? `, taken over with [${marked}] in flight` : ''}`
    }
    case 'released':
      return partitions.has(deed.lease.partition) ? `${told(deed.lease)} given back` : undefined
    case 'fetched':
      return ours(deed.entries) ? `lent (fetch ${deed.fetch}): ${ours(deed.entries)}` : undefined
    case 'attempted':
      return ours(deed.entries)
        ? `attempt ${deed.attempt} by ${deed.relay} (fetch ${deed.entries[0]?.fetch}): ${ours(deed.entries)}`
        : undefined
    case 'arrived':
      return ids.has(deed.id)
        ? `attempt ${deed.attempt} at the broker: ${nameOf(deed.id)} ${deed.as}, epoch ${deed.lease.epoch}`
        : undefined
    case 'told':
      return ids.has(deed.id)
        ? `attempt ${deed.attempt} told ${deed.relay}: ${nameOf(deed.id)} ${deed.status}`
        : undefined
    case 'settled':
      return ids.has(deed.id)
        ? `settled: ${nameOf(deed.id)} ${deed.outcome}${deed.reason ? `: ${deed.reason}` : ''}`
        : undefined
    case 'settleFailed':
    case 'lostTail':
      return deed.ids.some((id) => ids.has(id))
        ? `${deed.kind === 'lostTail' ? 'lost by the broker' : 'a settle failed'}: ${ours(deed.ids.map((id) => ({ id })))}`
        : undefined
    case 'requeued':
    case 'discarded':
      return ids.has(deed.id) ? `${deed.kind}: ${nameOf(deed.id)}` : undefined
    case 'event':
      return deed.ids.some((id) => ids.has(id)) || (ids.size === 0 && deed.ids.length === 0)
        ? `${deed.relay} tells '${deed.name}': ${ours(deed.ids.map((id) => ({ id }))) || deed.text}`
        : undefined
    case 'rolledBack':
    case 'asked':
    case 'probed':
    case 'said':
    case 'heard':
    case 'releasing':
    case 'stopping':
    case 'counted':
      return undefined
  }
}

function told({ partition, epoch, holder }: Lease): string {
  return `partition ${partition}, epoch ${epoch} of ${holder}:`
}
