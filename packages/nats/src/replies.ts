import { randomUUID } from 'node:crypto'
import { type Clock, OutboxError } from '@outbox/core'
import type { NatsConnectionLike, NatsMessageLike, NatsSubscriptionLike } from './connection.ts'
import { type Link, watchLink } from './link.ts'

/** How one request ended. */
export type Answer<Reply> = { readonly kind: 'reply'; readonly reply: Reply } | NoReply

export type NoReply =
  /** the server says that nobody listens on the subject */
  | { readonly kind: 'noResponders' }
  /** the server does not allow the subject: nothing was written */
  | { readonly kind: 'forbidden'; readonly error: Error }
  /** nothing was sent, for want of a connection */
  | { readonly kind: 'notConnected'; readonly error: Error }
  /** nothing was sent: the caller had given up already */
  | { readonly kind: 'callerGone'; readonly error: unknown }
  /** the client refused to send it */
  | { readonly kind: 'clientRefused'; readonly error: unknown }
  /** sent, and nothing came back: in time, before the connection was lost, or before the caller gave up */
  | { readonly kind: 'unanswered'; readonly error: Error }

export interface Request {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers?: object
}

interface Pending {
  readonly subject: string
  readonly signal: AbortSignal
  readonly deadline: number
  /** ends it with a reply; false if that is not the one that was asked for */
  readonly receive: (data: Uint8Array) => boolean
  readonly end: (answer: NoReply) => void
  /** somebody else replied */
  hasStranger: boolean
}

export interface RepliesOptions {
  readonly connection: NatsConnectionLike
  /** names the publisher in errors */
  readonly system: string
  readonly inboxPrefix: string
  readonly timeoutMs: number
  readonly clock: Clock
}

/**
 * Requests over one wildcard subscription of our own: the clients' `request` makes an Error with a stack trace for each
 * one, which costs more than the request. Opened with the first request, and again after the server has refused it.
 *
 * `ask` never rejects. A request ends with the first of: its reply, the time-out, the loss of the connection, the
 * abort of its signal, `close`. What comes later finds nobody waiting, and is dropped. Any number may be under way.
 */
export class Replies {
  readonly #options: RepliesOptions
  readonly #inbox: string
  /** in the order of their deadlines, which all are equally far away */
  readonly #pending = new Map<string, Pending>()
  /** signals that are listened to, with the number of requests under each */
  readonly #signals = new Map<AbortSignal, { count: number; readonly abort: () => void }>()
  #link: Link | undefined
  #subscription: NatsSubscriptionLike | undefined
  #cancelTimer: (() => void) | undefined
  #count = 0
  #isClosed = false

  constructor(options: RepliesOptions) {
    this.#options = options
    this.#inbox = `${options.inboxPrefix}.${randomUUID().replaceAll('-', '')}`
  }

  /** Why nothing can be sent now; undefined if something can. */
  fault(): Error | undefined {
    const { connection, system } = this.#options
    if (this.#isClosed) return new OutboxError('unavailable', `${system}: the publisher is closed.`, { system })
    this.#link ??= watchLink(connection, system, {
      lost: () => this.#failAll(this.#failure('the connection was lost before the broker answered')),
      violated: ({ operation, subject, error }) => {
        if (operation === 'publish') this.#forbid(subject, error)
      },
    })
    return this.#link.fault()
  }

  /**
   * @param read - makes of a reply what is asked for, or undefined: then it came from somebody else, and the wait goes on
   */
  ask<Reply>(
    { subject, data, headers }: Request,
    signal: AbortSignal,
    read: (data: Uint8Array) => Reply | undefined,
  ): Promise<Answer<Reply>> {
    if (signal.aborted) return Promise.resolve({ kind: 'callerGone', error: signal.reason })
    const error = this.fault()
    if (error) return Promise.resolve({ kind: 'notConnected', error })
    const { connection, timeoutMs, clock } = this.#options
    const token = (this.#count++).toString(36)
    const reply = `${this.#inbox}.${token}`
    return new Promise((resolve) => {
      const receive = (received: Uint8Array): boolean => {
        const found = read(received)
        if (found === undefined) return false
        this.#forget(token)
        resolve({ kind: 'reply', reply: found })
        return true
      }
      const deadline = clock.monotonic() + timeoutMs
      this.#pending.set(token, { subject, signal, deadline, receive, end: resolve, hasStranger: false })
      this.#listenTo(signal)
      this.#cancelTimer ??= clock.schedule(() => this.#expire(), timeoutMs)
      try {
        this.#subscription ??= this.#subscribe()
        connection.publish(subject, data, headers === undefined ? { reply } : { reply, headers })
      } catch (cause) {
        this.#end(token, { kind: 'clientRefused', error: cause })
      }
    })
  }

  /** Ends the subscription and the watch; what is under way counts as unanswered. Further requests are not sent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#failAll(this.#failure('the publisher was closed before the broker answered'))
    this.#link?.stop()
    if (!this.#options.connection.isClosed()) this.#subscription?.unsubscribe()
    this.#subscription = undefined
  }

  #subscribe(): NatsSubscriptionLike {
    return this.#options.connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error) this.#inboxRefused(error)
        else this.#receive(message)
      },
    })
  }

  #receive({ subject, data, headers }: NatsMessageLike): void {
    const token = subject.slice(this.#inbox.length + 1)
    const pending = this.#pending.get(token)
    if (!pending) return // a late reply: its request has ended
    if (headers?.code === 503 && data.length === 0) this.#end(token, { kind: 'noResponders' })
    else if (!pending.receive(data)) pending.hasStranger = true
  }

  /** Without replies every outcome is open; the next request tries to subscribe again. */
  #inboxRefused(cause: Error): void {
    this.#subscription = undefined
    const hint = `no replies can be received on '${this.#inbox}.*': allow it, or set inboxPrefix to what is allowed`
    this.#failAll(this.#failure(hint, cause))
  }

  #forbid(subject: string, error: Error): void {
    for (const [token, pending] of this.#pending) {
      if (pending.subject === subject) this.#end(token, { kind: 'forbidden', error })
    }
  }

  #expire(): void {
    this.#cancelTimer = undefined
    const { clock, timeoutMs } = this.#options
    const now = clock.monotonic()
    for (const [token, { deadline, subject, hasStranger }] of this.#pending) {
      if (deadline > now) {
        this.#cancelTimer = clock.schedule(() => this.#expire(), deadline - now)
        return
      }
      const stranger = hasStranger ? `; what else listens on '${subject}' replied, and is not who was asked` : ''
      this.#end(token, { kind: 'unanswered', error: this.#failure(`no answer within ${timeoutMs} ms${stranger}`) })
    }
  }

  #failAll(error: Error): void {
    for (const token of [...this.#pending.keys()]) this.#end(token, { kind: 'unanswered', error })
  }

  #listenTo(signal: AbortSignal): void {
    const known = this.#signals.get(signal)
    if (known) {
      known.count += 1
      return
    }
    const abort = (): void => {
      const error = this.#failure('stopped before the broker answered', signal.reason)
      for (const [token, pending] of [...this.#pending]) {
        if (pending.signal === signal) this.#end(token, { kind: 'unanswered', error })
      }
    }
    this.#signals.set(signal, { count: 1, abort })
    signal.addEventListener('abort', abort, { once: true })
  }

  #end(token: string, answer: NoReply): void {
    const pending = this.#pending.get(token)
    this.#forget(token)
    pending?.end(answer)
  }

  #forget(token: string): void {
    const pending = this.#pending.get(token)
    if (!pending) return
    this.#pending.delete(token)
    const listening = this.#signals.get(pending.signal)
    if (listening && --listening.count === 0) {
      this.#signals.delete(pending.signal)
      pending.signal.removeEventListener('abort', listening.abort)
    }
    if (this.#pending.size === 0) {
      this.#cancelTimer?.()
      this.#cancelTimer = undefined
    }
  }

  #failure(what: string, cause?: unknown): Error {
    return new Error(`${this.#options.system}: ${what}.`, cause === undefined ? undefined : { cause })
  }
}
