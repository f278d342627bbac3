import type { DueEntry, Publisher } from '@outbox/core'
import { fanOutPublisher, routePublisher } from '@outbox/relay'

/**
 * Orders go to Redis, invoices to NATS, and what concerns a customer to both.
 *
 * Each of the three destinations is watched on its own: while NATS is away, orders go on to Redis. An event type that
 * has no route becomes a dead letter that says so.
 */
export function shopPublisher({ redis, nats }: { readonly redis: Publisher; readonly nats: Publisher }): Publisher {
  return routePublisher({
    route: destinationOf,
    destinations: { redis, nats, both: fanOutPublisher({ destinations: [redis, nats] }) },
  })
}

function destinationOf({ aggregateType }: DueEntry): 'redis' | 'nats' | 'both' {
  switch (aggregateType) {
    case 'order':
      return 'redis'
    case 'invoice':
      return 'nats'
    case 'customer':
      return 'both'
    default:
      throw new Error(`no broker is chosen for ${aggregateType}`)
  }
}
