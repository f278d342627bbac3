import { type DomainEvent, event, uuidv7Generator } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'

/** What an event says of itself in its payload, where neither outbox nor broker looks. */
interface Content {
  readonly id: string
  readonly aggregateId: string
  /** whoever wrote it, and which of that writer's events of the aggregate it is, from 1 on */
  readonly writer: string
  readonly count: number
}

type Details = Readonly<Record<string, string | number>>

const newId = uuidv7Generator()

/**
 * Makes the events of one writer, who commits them one transaction after the other, in the order in which they are made.
 *
 * Each tells in its payload which it is, so that another's content, or another order, does not pass for its own.
 */
export function eventWriter(): (aggregateId: string, type?: string, more?: Details) => DomainEvent {
  const writer = newId()
  const counts = new Map<string, number>()
  return (aggregateId, type = 'order.changed', more = {}) => {
    const id = newId()
    const count = (counts.get(aggregateId) ?? 0) + 1
    counts.set(aggregateId, count)
    const content: Content = { id, aggregateId, writer, count }
    return event(type, { id, aggregateType: 'order', aggregateId, payload: { ...more, ...content } })
  }
}

/** Holds what was received against what it says of itself. */
export class ContentCheck {
  readonly #highest = new Map<string, number>()

  /** Whether an entry has its own content, and no other's. */
  isOwn({ id, aggregateId, payload }: ReceivedEntry): boolean {
    return isContent(payload) && payload.id === id && payload.aggregateId === aggregateId
  }

  /** Whether it comes after what its writer wrote before, given its own content; to be asked once for an entry. */
  ascends({ aggregateId, payload }: ReceivedEntry): boolean {
    if (!isContent(payload)) return true
    const key = `${payload.writer} ${aggregateId}`
    const highest = this.#highest.get(key) ?? 0
    this.#highest.set(key, Math.max(highest, payload.count))
    return payload.count > highest
  }
}

function isContent(payload: unknown): payload is Content {
  return (
    typeof payload === 'object' &&
    payload !== null &&
    'id' in payload &&
    'aggregateId' in payload &&
    'writer' in payload &&
    'count' in payload &&
    typeof payload.count === 'number'
  )
}
