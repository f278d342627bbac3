import { type DueEntry, type Publisher, permanent } from '@outbox/core'
import { fanOutPublisher } from '@outbox/relay/fan-out'
import { routePublisher } from '@outbox/relay/route'

type Destination = 'redis' | 'nats' | 'both'

const destinations: ReadonlyMap<string, Destination> = new Map<string, Destination>([
  ['order.placed', 'redis'],
  ['order.invoiced', 'nats'],
  ['order.shipped', 'both'],
])

/**
 * Sends each event where its type belongs.
 *
 * An order's events keep their order across both brokers. Each destination is watched on its own: while NATS is away,
 * orders that have nothing for it go on. An event type without a route becomes a dead letter that says so.
 */
export function orderPublisher({ redis, nats }: { readonly redis: Publisher; readonly nats: Publisher }): Publisher {
  return routePublisher({
    route: destinationOf,
    destinations: { redis, nats, both: fanOutPublisher({ destinations: [redis, nats] }) },
  })
}

function destinationOf({ eventType }: DueEntry): Destination {
  const destination = destinations.get(eventType)
  if (destination === undefined) throw permanent(`no broker is chosen for ${eventType}`)
  return destination
}
