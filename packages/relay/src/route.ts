import { type DueEntry, OutboxError, type Publisher, type PublishOutcome } from '@outbox/core'

/** A publisher that is several: the relay gives each destination a breaker of its own. */
export interface RoutedPublisher extends Publisher {
  readonly destinations: readonly Publisher[]
  /** @throws {OutboxError} `rejected` when the route names no destination: the entry becomes a dead letter */
  destinationOf(entry: DueEntry): Publisher
}

export function isRouted(publisher: Publisher): publisher is RoutedPublisher {
  return 'destinations' in publisher && 'destinationOf' in publisher
}

/**
 * Sends each entry to one of several destinations.
 *
 * An aggregate's entries keep their order across destinations too: the next one waits for the one before, wherever
 * that went. A destination that is away holds up only the aggregates that have something for it. An entry whose key
 * names no route becomes a dead letter that says so; a `route` function that throws makes its entry wait and be tried
 * again.
 *
 * @example
 * ```ts
 * routePublisher({
 *   route: (entry) => (entry.eventType.startsWith('invoice.') ? 'billing' : 'orders'),
 *   destinations: { billing, orders },
 * })
 * ```
 */
export function routePublisher<const Destinations extends Readonly<Record<string, Publisher>>>(options: {
  readonly route: (entry: DueEntry) => keyof Destinations & string
  readonly destinations: Destinations
  /** default 'route' */
  readonly name?: string
}): RoutedPublisher {
  const { route, destinations, name = 'route' } = options
  const publishers = [...new Set(Object.values(destinations))]
  if (publishers.length === 0) {
    throw new OutboxError('invalid-option', 'routePublisher: destinations is empty; name one at least.', {
      option: 'destinations',
    })
  }
  const destinationOf = (entry: DueEntry): Publisher => {
    const key = route(entry)
    if (Object.hasOwn(destinations, key)) return destinations[key] as Publisher
    throw new OutboxError(
      'rejected',
      `No route: '${String(key)}' is none of ${Object.keys(destinations).join(', ')} (event type ${entry.eventType}).`,
      { system: name },
    )
  }
  return {
    name,
    destinations: publishers,
    destinationOf,
    // The relay publishes to the destinations themselves; this is for whoever uses the whole as one publisher.
    capabilities: { keepsOrderInBatch: false },
    publish: (entries, { signal }) => Promise.all(entries.map((entry) => publishOne(destinationOf, entry, signal))),
    async check(call) {
      const warnings = await Promise.all(publishers.map(async (each) => (await each.check?.(call)) ?? []))
      return warnings.flat()
    },
  }
}

async function publishOne(
  destinationOf: (entry: DueEntry) => Publisher,
  entry: DueEntry,
  signal: AbortSignal,
): Promise<PublishOutcome> {
  try {
    const [outcome] = await destinationOf(entry).publish([entry], { signal })
    return outcome ?? { status: 'retry', error: new Error('The destination gave no outcome.') }
  } catch (error) {
    if (OutboxError.is(error, 'rejected')) return { status: 'reject', error }
    return {
      status: OutboxError.is(error, 'unavailable') ? 'unavailable' : signal.aborted ? 'unknown' : 'retry',
      error,
    }
  }
}
