import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import type { Message } from './message.ts'

/** What the broker says to one message. */
export type Answer =
  | { readonly status: 'stored' | 'duplicate' | 'refused' | 'tooLarge' }
  | { readonly status: 'fenced'; readonly epoch: number }

export const maxPayloadBytes: number = 1_048_576

/**
 * A broker of one stream, in memory, behind HTTP: `POST` stores messages, `GET` gives them all, `HEAD` tells that it is
 * there. It drops repeats and keeps late writers out. What it does to be tested stands below.
 */
export class Broker implements AsyncDisposable {
  readonly #messages: Message[] = []
  readonly #seen = new Set<string>()
  readonly #fences = new Map<string, Message['fence']>()
  readonly #server: Server
  readonly #refusedGroups = new Set<string>()
  readonly #unanswered: (() => void)[] = []
  #isSilent = false
  #port = 0

  constructor() {
    // a request that breaks off in the middle is the client's loss: nothing of it was stored
    this.#server = createServer(
      (request, response) => void this.#serve(request, response).catch(() => response.destroy()),
    )
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (typeof address === 'object' && address) this.#port = address.port
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#isSilent) await new Promise<void>((resolve) => this.#unanswered.push(resolve))
    if (request.method === 'HEAD') response.end()
    else if (request.method === 'GET') response.end(JSON.stringify(this.#messages))
    else {
      // `as`: this broker serves one publisher; one that serves strangers checks what they send
      const messages = (await json(request)) as readonly Message[]
      response.end(JSON.stringify(messages.map((message) => this.#store(message))))
    }
  }

  #store(message: Message): Answer {
    const { deduplicationId, fence, group, payload } = message
    // epoch 0 is that of a store without leases: all of its relays have it
    const newest = fence.epoch > 0 ? this.#fences.get(fence.name) : undefined
    if (newest && (newest.epoch > fence.epoch || (newest.epoch === fence.epoch && newest.holder !== fence.holder))) {
      return { status: 'fenced', epoch: newest.epoch }
    }
    if (fence.epoch > 0) this.#fences.set(fence.name, fence)
    if (this.#refusedGroups.has(group)) return { status: 'refused' }
    if (Buffer.byteLength(payload) > maxPayloadBytes) return { status: 'tooLarge' }
    if (this.#seen.has(deduplicationId)) return { status: 'duplicate' }
    this.#messages.push(message)
    this.#seen.add(deduplicationId) // last: an id that is known is a message that is kept
    return { status: 'stored' }
  }

  /** Messages of a group are refused, until the function that it returns is called. */
  async refuse(group: string): Promise<() => Promise<void>> {
    this.#refusedGroups.add(group)
    return async () => void this.#refusedGroups.delete(group)
  }

  /** From now on nothing is answered, until the function that it returns is called. */
  async fallSilent(): Promise<() => Promise<void>> {
    this.#isSilent = true
    return async () => {
      this.#isSilent = false
      for (const goOn of this.#unanswered.splice(0)) goOn()
    }
  }

  /** Nobody can connect any more; what is stored stays. `start` ends it. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.stop()
  }
}
