import type { RedisClient } from './client.ts'

interface Listening {
  readonly callbacks: Set<() => void>
  readonly listener: () => void
}

const listening = new WeakMap<RedisClient, Map<string, Listening>>()

/**
 * Calls back at each `event` of the client, until the function returned is called.
 *
 * However many publishes are under way, the client has one listener for an event: emitters warn of more than ten.
 *
 * @param callback - of this call alone
 */
export function onClientEvent(client: RedisClient, event: string, callback: () => void): () => void {
  const events = listening.get(client) ?? new Map<string, Listening>()
  listening.set(client, events)
  const shared = events.get(event) ?? listenTo(client, event)
  events.set(event, shared)
  shared.callbacks.add(callback)
  return () => {
    shared.callbacks.delete(callback)
    if (shared.callbacks.size > 0 || events.get(event) !== shared) return
    events.delete(event)
    client.off(event, shared.listener)
  }
}

function listenTo(client: RedisClient, event: string): Listening {
  const callbacks = new Set<() => void>()
  const listener = (): void => {
    for (const callback of callbacks) callback()
  }
  client.on(event, listener)
  return { callbacks, listener }
}
