import { type DueEntry, type Publisher, type PublishOutcome, permanent } from '@outbox/core'
import { callbackFailed, called, invalidOption, knownOptions, refusal, requireName } from '@outbox/core/adapter'
import type { RoutedPublisher } from './destinations.ts'
import { outcomesOf, oversizeOf } from './outcomes.ts'
import { checkAll, probeAll, requireSome } from './several.ts'

export type { RoutedPublisher }

/**
 * Sends each entry to one of several destinations.
 *
 * An aggregate's entries keep their order across destinations too: the next one waits for the one before, wherever
 * that went. A destination that is away holds up only the aggregates that have something for it. An entry whose key
 * names no route becomes a dead letter that says so. A `route` function that throws, or gives no text, is an `error`
 * event, and its entry is tried again, after ten seconds at the soonest, without an attempt being counted.
 *
 * @throws {OutboxError} `invalid-option`, naming the option
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
  readonly name?: string | undefined
}): RoutedPublisher {
  const of = 'routePublisher'
  const {
    route,
    destinations,
    name = 'route',
  } = knownOptions(of, options, { route: true, destinations: true, name: true })
  requireName(of, name)
  if (typeof route !== 'function') throw invalidOption(of, 'route', 'must be a function')
  const publishers = [...new Set(Object.values(destinations ?? {}))]
  requireSome(of, publishers)
  const destinationOf = (entry: DueEntry): Publisher => {
    const callback = 'route of routePublisher'
    const key: unknown = called(callback, () => route(entry))
    if (typeof key !== 'string') throw callbackFailed(callback, `returned ${typeof key}, not a key`)
    if (Object.hasOwn(destinations, key)) return destinations[key] as Publisher
    throw permanent(
      `No route: '${key}' is none of ${Object.keys(destinations).join(', ')} (event type ${entry.eventType}).`,
      { system: name },
    )
  }
  return {
    name,
    destinations: publishers,
    destinationOf,
    // The relay publishes to the destinations themselves; what follows is for whoever takes the whole for one publisher.
    capabilities: { keepsOrderInBatch: false },
    async publish(entries, { signal }) {
      const each = await Promise.all(entries.map((entry) => outcomeOf(destinationOf, entry, signal)))
      return each.flat()
    },
    check: checkAll(publishers),
    ...probeAll(publishers),
  }
}

async function outcomeOf(
  destinationOf: (entry: DueEntry) => Publisher,
  entry: DueEntry,
  signal: AbortSignal,
): Promise<readonly PublishOutcome[]> {
  try {
    const destination = destinationOf(entry)
    const oversize = oversizeOf(entry, destination)
    return oversize ? [refusal(oversize)] : await outcomesOf(destination, [entry], signal)
  } catch (error) {
    return [refusal(error)]
  }
}
