import { type DueEntry, OutboxError, type Publisher, type PublishOutcome } from '@outbox/core'

/** How many half-delivered entries are remembered; beyond that their repeats reach destinations that have them. */
const maxRemembered = 10_000

/**
 * Sends each entry to every destination; it is published when all have it.
 *
 * Order holds at each destination. When one fails, the entry is tried again: destinations that have it are passed over
 * while this process remembers, and see a repeat after a restart. An entry that one destination refuses for ever
 * becomes a dead letter, though others may have it.
 */
export function fanOutPublisher(options: {
  readonly destinations: readonly Publisher[]
  /** default 'fan-out' */
  readonly name?: string
}): Publisher {
  const { destinations, name = 'fan-out' } = options
  if (destinations.length === 0) {
    throw new OutboxError('invalid-option', 'fanOutPublisher: destinations is empty; name one at least.', {
      option: 'destinations',
    })
  }
  const delivered = new DeliveryMemory()
  return {
    name,
    capabilities: combinedCapabilities(destinations),
    async publish(entries, { signal }) {
      const each = await Promise.all(
        destinations.map((destination) => publishRest(destination, entries, delivered, signal)),
      )
      return entries.map((entry, index) => {
        const outcome = combined(each.map((outcomes) => outcomes[index] ?? notSent))
        if (outcome.status === 'published') delivered.forget(entry)
        return outcome
      })
    },
    async check(call) {
      const warnings = await Promise.all(destinations.map(async (each) => (await each.check?.(call)) ?? []))
      return warnings.flat()
    },
    // A destination without a probe would pass for one that answers: then the whole is tried again instead.
    ...(destinations.every(({ probe }) => probe !== undefined) ? { probe: probeAll(destinations) } : {}),
  }
}

function probeAll(destinations: readonly Publisher[]): NonNullable<Publisher['probe']> {
  return async (call) => {
    await Promise.all(destinations.map(async (each) => each.probe?.(call)))
  }
}

const notSent: PublishOutcome = Object.freeze({ status: 'notSent' })
const hadIt: PublishOutcome = Object.freeze({ status: 'published', duplicate: true })

/** Publishes what `destination` does not have yet. */
async function publishRest(
  destination: Publisher,
  entries: readonly DueEntry[],
  delivered: DeliveryMemory,
  signal: AbortSignal,
): Promise<readonly PublishOutcome[]> {
  const rest = entries.filter((entry) => !delivered.has(entry, destination))
  const outcomes = rest.length === 0 ? [] : await outcomesOf(destination, rest, signal)
  const byEntry = new Map(rest.map((entry, index) => [entry, outcomes[index] ?? notSent]))
  return entries.map((entry) => {
    const outcome = byEntry.get(entry) ?? hadIt
    if (outcome.status === 'published') delivered.remember(entry, destination)
    return outcome
  })
}

async function outcomesOf(
  destination: Publisher,
  entries: readonly DueEntry[],
  signal: AbortSignal,
): Promise<readonly PublishOutcome[]> {
  try {
    const outcomes = await destination.publish(entries, { signal })
    if (outcomes.length === entries.length) return outcomes
    throw new Error(`'${destination.name}' gave ${outcomes.length} outcomes for ${entries.length} entries.`)
  } catch (error) {
    const status = OutboxError.is(error, 'unavailable') ? 'unavailable' : signal.aborted ? 'unknown' : 'retry'
    return entries.map(() => ({ status, error }))
  }
}

/**
 * The outcome of the whole: the one that leaves most open. A refusal for ever counts last, so that the other
 * destinations get the entry before it dies.
 */
const precedence = ['fenced', 'unavailable', 'unknown', 'retry', 'notSent', 'reject'] as const

function combined(outcomes: readonly PublishOutcome[]): PublishOutcome {
  for (const status of precedence) {
    const found = outcomes.find((outcome) => outcome.status === status)
    if (found) return found
  }
  const duplicate = outcomes.every((outcome) => outcome.status === 'published' && outcome.duplicate === true)
  return { status: 'published', duplicate }
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
  readonly #destinations = new Map<string, Set<Publisher>>()

  has(entry: DueEntry, destination: Publisher): boolean {
    return this.#destinations.get(entry.deduplicationId)?.has(destination) ?? false
  }

  remember(entry: DueEntry, destination: Publisher): void {
    const known = this.#destinations.get(entry.deduplicationId) ?? new Set()
    this.#destinations.set(entry.deduplicationId, known.add(destination))
    for (const oldest of this.#destinations.keys()) {
      if (this.#destinations.size <= maxRemembered) return
      this.#destinations.delete(oldest)
    }
  }

  forget(entry: DueEntry): void {
    this.#destinations.delete(entry.deduplicationId)
  }
}
