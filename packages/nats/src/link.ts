import { unavailable } from '@outbox/core'
import type { NatsConnectionLike } from './connection.ts'

/** A publish, or the subscription to the replies, that the server does not allow. */
export interface Violation {
  readonly operation: 'publish' | 'subscription'
  readonly subject: string
  readonly error: Error
}

export interface LinkListener {
  /** the connection went down: replies that were on their way are lost */
  lost(): void
  violated(violation: Violation): void
}

/** Watches the connection's own account of itself. */
export interface Link {
  /** Why nothing can be sent now, or undefined. */
  fault(): Error | undefined
  /** Ends the watch. */
  stop(): void
}

const down: ReadonlySet<string> = new Set(['disconnect', 'reconnecting', 'staleConnection', 'forceReconnect', 'close'])

/**
 * Follows a connection's status, so that nothing is left in the client's buffer behind our back.
 *
 * Both clients take a publish while they are disconnected, and may send it after they have connected again, when the
 * entry has long been somebody else's. Between the loss of the connection and its status event the client still takes
 * a message, but drops it: it clears its buffer before it connects again.
 */
export function watchLink(connection: NatsConnectionLike, system: string, listener: LinkListener): Link {
  let isUp = true
  let isStopped = false
  const statuses = connection.status()

  const follow = async (): Promise<void> => {
    for await (const status of statuses) {
      if (isStopped) return
      if (status.type === 'reconnect') isUp = true
      else if (down.has(status.type)) {
        isUp = false
        listener.lost()
      } else if (status.type === 'error') {
        const violation = violationOf(status)
        if (violation) listener.violated(violation)
      }
    }
    listener.lost() // the connection was closed
  }
  // an iteration that fails means that the connection can say nothing more: it counts as lost
  follow().catch(() => {
    isUp = false
    listener.lost()
  })

  return {
    fault() {
      if (connection.isClosed()) return unavailable(`${system}: the NATS connection is closed.`, { system })
      if (connection.isDraining()) return unavailable(`${system}: the NATS connection is draining.`, { system })
      if (isUp && connection.info !== undefined) return undefined
      return unavailable(`${system}: not connected to NATS; the client is trying to reconnect.`, { system })
    },
    stop() {
      isStopped = true
      // both clients' iterators have it, though their types do not say so
      if ('stop' in statuses && typeof statuses.stop === 'function') statuses.stop()
    },
  }
}

/** What a status event says of permissions: `nats` 2.x puts it beside the code, 3.x into the error. */
function violationOf(status: object): Violation | undefined {
  const error: unknown = 'error' in status ? status.error : undefined
  const context: unknown = 'permissionContext' in status ? status.permissionContext : error
  if (typeof context !== 'object' || context === null) return undefined
  const { operation, subject } = { operation: undefined, subject: undefined, ...context }
  if ((operation !== 'publish' && operation !== 'subscription') || typeof subject !== 'string') return undefined
  return {
    operation,
    subject: unquoted(subject),
    error: error instanceof Error ? error : new Error(`Permissions Violation for ${operation} to "${subject}"`),
  }
}

/** The server quotes a subject as Go's `%q` does: `\"`, `\\`, and `\u00ad` or `\U000e0001` for what is not printed. */
function unquoted(subject: string): string {
  return subject.replace(
    /\\(?:U00((?:0[\da-f]|10)[\da-f]{4})|u([\da-f]{4})|(.))/g,
    (_, long?: string, short?: string, itself?: string) =>
      itself ?? String.fromCodePoint(Number.parseInt(long ?? short ?? '', 16)),
  )
}
