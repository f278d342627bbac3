/**
 * What is used of a connection. `NatsConnection` of `nats` 2.x and of `@nats-io/nats-core` 3.x both fit, in any copy:
 * nothing is imported from either.
 */
export interface NatsConnectionLike {
  publish(subject: string, data?: Uint8Array, options?: { reply?: string; headers?: object }): void
  subscribe(
    subject: string,
    options?: { callback?: (error: Error | null, message: NatsMessageLike) => void },
  ): NatsSubscriptionLike
  status(): AsyncIterable<{ readonly type: string }>
  isClosed(): boolean
  isDraining(): boolean
  /** undefined while the client has no connection */
  readonly info?: NatsServerInfo | undefined
}

export interface NatsServerInfo {
  readonly version: string
  /** bytes of a message, headers included */
  readonly max_payload: number
  readonly headers?: boolean
}

export interface NatsSubscriptionLike {
  unsubscribe(): void
}

/** A message as either client hands it out: from a core subscription or a JetStream consumer. */
export interface NatsMessageLike {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers?: NatsHeadersLike | undefined
}

export interface NatsHeadersLike {
  /** of a message by the server itself, such as 503; otherwise 0 */
  readonly code: number
  keys(): string[]
  get(name: string): string
}
