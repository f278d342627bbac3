import type { NatsConnectionLike } from '../src/index.ts'

/** What stands before a connection, and changes nothing; tests override how it publishes. */
export class ForwardingConnection implements NatsConnectionLike {
  readonly #connection: NatsConnectionLike

  constructor(connection: NatsConnectionLike) {
    this.#connection = connection
  }

  publish(...call: Parameters<NatsConnectionLike['publish']>): void {
    this.#connection.publish(...call)
  }

  subscribe(...call: Parameters<NatsConnectionLike['subscribe']>): ReturnType<NatsConnectionLike['subscribe']> {
    return this.#connection.subscribe(...call)
  }

  status(): ReturnType<NatsConnectionLike['status']> {
    return this.#connection.status()
  }

  isClosed(): boolean {
    return this.#connection.isClosed()
  }

  isDraining(): boolean {
    return this.#connection.isDraining()
  }

  get info(): NatsConnectionLike['info'] {
    return this.#connection.info
  }
}
