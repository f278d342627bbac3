import { type DueEntry, OutboxError, type Publisher, type PublishOutcome } from '@outbox/core'
import { knownOptions, requireName } from '@outbox/core/adapter'
import { notSent, outcomesOf } from './outcomes.ts'
import { checkAll, probeAll, requireSome } from './several.ts'

/** How many half-delivered entries are remembered; beyond that their repeats reach destinations that have them. */
const maxRemembered = 10_000

/**
 * Sends each entry to every destination; it is published when all have it.
 *
 * Order holds at each destination. When one fails, the entry is tried again: destinations that have it are passed over
 * while this process remembers, and see a repeat after a restart. An entry that one destination refuses for ever
 * becomes a dead letter, though others may have it. One that is larger than the least `maxPayloadBytes` is sent to none.
 *
 * @throws {OutboxError} `invalid-option`, naming the option
 */
export function fanOutPublisher(options: {
  readonly destinations: readonly Publisher[]
  /** default 'fan-out' */
  readonly name?: string | undefined
}): Publisher {
  const of = 'fanOutPublisher'
  const { destinations: given = [], name = 'fan-out' } = knownOptions(of, options, { destinations: true, name: true })
  requireSome(of, given)
  requireName(of, name)
  const destinations = [...new Set(given)] // one that stands there twice has each entry once
  const memory = new DeliveryMemory()
  const probing = probeAll(destinations)
  return {
    name,
    capabilities: combinedCapabilities(destinations),
    async publish(entries, { signal }) {
      const each = await Promise.all(
        destinations.map((destination) => publishRest(destination, entries, memory, signal)),
      )
      return entries.map((entry, index) => {
        const outcome = combined(
          each.map((outcomes) => outcomes[index] ?? notSent),
          'probe' in probing,
        )
        if (outcome.status === 'published' || outcome.status === 'reject') memory.forget(entry)
        return outcome
      })
    },
    check: checkAll(destinations),
    ...probing,
  }
}

/** Publishes what `destination` does not have yet. */
async function publishRest(
  destination: Publisher,
  entries: readonly DueEntry[],
  memory: DeliveryMemory,
  signal: AbortSignal,
): Promise<readonly PublishOutcome[]> {
  const rest = entries.filter((entry) => !memory.has(entry, destination))
  const outcomes = rest.length > 0 ? await outcomesOf(destination, rest, signal) : []
  const byEntry = new Map(rest.map((entry, index) => [entry, outcomes[index] ?? notSent]))
  return entries.map((entry) => {
    const outcome = byEntry.get(entry) ?? { status: 'published', duplicate: true }
    if (outcome.status === 'published') memory.note(entry, destination)
    return outcome
  })
}

/**
 * The outcome of the whole: the one that leaves most open. A refusal for ever counts last, so that the other
 * destinations get the entry before it dies. Of failures of a kind a bug is told: it costs no attempt.
 *
 * What got no answer may still arrive, also beside a destination that is away: the probe then tells of the outage, and
 * no attempt is counted. Where nothing probes, only `unavailable` says so.
 */
function combined(outcomes: readonly PublishOutcome[], probes: boolean): PublishOutcome {
  const open = probes ? (['unknown', 'unavailable'] as const) : (['unavailable', 'unknown'] as const)
  for (const status of ['fenced', ...open, 'retry', 'notSent', 'reject'] as const) {
    const found = outcomes.filter((outcome) => outcome.status === status)
    const [first] = found
    if (first) return found.find(isBug) ?? first
  }
  const duplicate = outcomes.every((outcome) => outcome.status === 'published' && outcome.duplicate === true)
  return { status: 'published', duplicate }
}

function isBug(outcome: PublishOutcome): boolean {
  return 'error' in outcome && OutboxError.is(outcome.error, 'callback-failed')
}

function combinedCapabilities(destinations: readonly Publisher[]): Publisher['capabilities'] {
  const all = destinations.map(({ capabilities }) => capabilities)
  const sizes = all.flatMap(({ maxPayloadBytes }) => maxPayloadBytes ?? [])
  const windows = all.flatMap(({ dedupeWindowMs }) => dedupeWindowMs ?? [])
  return {
    keepsOrderInBatch: all.every(({ keepsOrderInBatch }) => keepsOrderInBatch),
    ...(sizes.length === 0 ? {} : { maxPayloadBytes: Math.min(...sizes) }),
    ...(windows.length < all.length ? {} : { dedupeWindowMs: Math.min(...windows) }),
  }
}

/** Which destinations have an entry that others still lack; the oldest are forgotten first. */
class DeliveryMemory {
  readonly #known = new Map<string, Set<Publisher>>()

  has({ deduplicationId }: DueEntry, destination: Publisher): boolean {
    return this.#known.get(deduplicationId)?.has(destination) === true
  }

  note({ deduplicationId }: DueEntry, destination: Publisher): void {
    const known = this.#known.get(deduplicationId) ?? new Set()
    this.#known.set(deduplicationId, known.add(destination))
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= maxRemembered) break
      this.#known.delete(oldest)
    }
  }

  forget({ deduplicationId }: DueEntry): void {
    this.#known.delete(deduplicationId)
  }
}
