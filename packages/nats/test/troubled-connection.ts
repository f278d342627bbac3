import { type OwnServer, startTcpProxy, waitFor } from '@outbox/services'
import { escapeSubjectToken, type NatsConnectionLike } from '../src/index.ts'
import { ForwardingConnection } from './forwarding-connection.ts'
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
export class RefusableConnection extends ForwardingConnection {
  readonly #refusing: string
  readonly #refused = new Set<string>()

  /** @param refusing - first part of the subjects of a stream that takes nothing */
  constructor(connection: NatsConnectionLike, refusing: string) {
    super(connection)
    this.#refusing = refusing
  }

  override publish(...[subject, ...message]: Parameters<NatsConnectionLike['publish']>): void {
    const isRefused = [...this.#refused].some((end) => subject.endsWith(end))
    super.publish(isRefused ? `${this.#refusing}${subject}` : subject, ...message)
  }

  /** Refuses those of an aggregate until the function returned is called. */
  async refuse(aggregateId: string): Promise<() => Promise<void>> {
    const end = `.${escapeSubjectToken(aggregateId)}`
    this.#refused.add(end)
    return async () => void this.#refused.delete(end)
  }
}
