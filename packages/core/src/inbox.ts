import type { Awaitable, CallOptions } from './outbox.ts'

/** Applies each message once per consumer: the effect and the mark stand in one transaction. */
export interface Inbox<in Tx> {
  /**
   * Runs `handler` unless `consumer` has handled `messageId` already; the mark commits and rolls back with `tx`.
   *
   * Deliveries of one message that run at once wait for each other: one runs the handler, the others return false.
   * Where the database tells conflicts at once instead of waiting (MongoDB), the others throw `busy`, and return
   * false when their transaction is run again. If the handler throws, so does `once`, and the transaction is the
   * caller's to roll back.
   *
   * Await it before the transaction ends, and let errors of the database end the transaction: a handler that catches one
   * must not go on. Where the transaction ended before the handler did, `once` throws `not-a-transaction`, and what the
   * handler wrote later may stand outside of it. The handler does its work itself: one that gives back a function, a
   * generator or a list of promises is refused, and the transaction is to be rolled back.
   *
   * Synchronous where the driver is (better-sqlite3): then the handler must be synchronous too.
   *
   * @param messageId - what names the message for ever: the entry's id, on every broker
   * @returns whether the handler ran
   * @throws {OutboxError} `invalid-option` for names that cannot be stored, `not-a-transaction`: nothing was written,
   *   and the handler did not run, but for the case above · `busy`, `unavailable`: run the whole transaction again
   */
  readonly once: (tx: Tx, consumer: string, messageId: string, handler: () => Awaitable<unknown>) => Awaitable<boolean>
}

/** An inbox, and what its owner does beside it. */
export interface InboxStore<in Tx> extends Inbox<Tx> {
  /**
   * Looks at the set-up: table, columns, privileges, version.
   *
   * @throws {OutboxError} `setup-required`, naming everything that is missing or too old, and what to run
   */
  check(options?: CallOptions): Promise<void>
  /**
   * Forgets messages that were handled at least `olderThanMs` ago, at most `limit`, oldest first: they would be handled
   * again if they came again. Holds up no delivery. `olderThanMs` is a number from 0 to ten years, `limit` a whole one
   * from 1 on; both may be `Infinity`. Anything else is `invalid-option`.
   *
   * @returns how many it forgot: fewer than `limit` means that none is left
   */
  purge(request: { readonly olderThanMs: number; readonly limit: number } & CallOptions): Promise<number>
}
