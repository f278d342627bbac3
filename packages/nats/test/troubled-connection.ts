import { type OwnServer, startTcpProxy, waitFor } from '@outbox/services'
import { escapeSubjectToken, type NatsConnectionLike } from '../src/index.ts'
import { type clients, type Observer, observe } from './support.ts'

/** A connection that can be taken away, and an observer beside it that nothing happens to. */
export interface TroubledConnection {
  readonly connection: NatsConnectionLike
  readonly observer: Observer
  /** Connections are refused until the function returned is called. */
  outage(): Promise<() => Promise<void>>
  /** Nothing comes through, and nothing is said of it, until the function returned is called. */
  silence(): Promise<() => Promise<void>>
  /** Closes both, and leaves no stream that the observer made. */
  close(): Promise<void>
}

export async function troubledConnection(
  server: OwnServer,
  connectTo: (typeof clients)[number]['connect'],
): Promise<TroubledConnection> {
  const proxy = await startTcpProxy(server.url)
  const observer = await observe(server.url)
  const connection = await connectTo(proxy.through(server.url))
  return {
    connection,
    observer,
    async outage() {
      proxy.refuse()
      await waitFor(() => connection.info === undefined, { what: 'the client to notice' })
      return async () => proxy.heal()
    },
    async silence() {
      proxy.blackHole()
      return async () => {
        // both at once: a client that connects again into the hole waits there for its own time-out
        proxy.reset()
        proxy.heal()
      }
    },
    async close() {
      await connection.close()
      await observer.deleteStreams()
      await observer[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

/** A connection by which a broker seems to refuse some aggregates: what is theirs goes to another stream, as it is. */
export interface RefusableConnection {
  readonly connection: NatsConnectionLike
  /** Refuses those of an aggregate until the function returned is called. */
  refuse(aggregateId: string): Promise<() => Promise<void>>
}

/** @param refusing - first part of the subjects of a stream that takes nothing */
export function refusable(connection: NatsConnectionLike, refusing: string): RefusableConnection {
  const refused = new Set<string>()
  const to = (subject: string): string =>
    [...refused].some((end) => subject.endsWith(end)) ? `${refusing}${subject}` : subject
  return {
    connection: {
      publish: (subject, data, options) => connection.publish(to(subject), data, options),
      subscribe: (subject, options) => connection.subscribe(subject, options),
      status: () => connection.status(),
      isClosed: () => connection.isClosed(),
      isDraining: () => connection.isDraining(),
      get info() {
        return connection.info
      },
    },
    async refuse(aggregateId) {
      const end = `.${escapeSubjectToken(aggregateId)}`
      refused.add(end)
      return async () => void refused.delete(end)
    },
  }
}
