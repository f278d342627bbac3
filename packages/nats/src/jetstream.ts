import { type OutboxError, unavailable } from '@outbox/core'
import { acknowledgementFrom, forbiddenSubject, isRecord, jsonFrom, noStream } from './answers.ts'
import type { Replies } from './replies.ts'

/** What the server said to a request of JetStream's API, when it refused it. */
export interface ApiRefusal {
  readonly code: number
  readonly description: string
}

export type ApiAnswer =
  | { readonly kind: 'ok'; readonly body: Readonly<Record<string, unknown>> }
  | { readonly kind: 'refused'; readonly refusal: ApiRefusal }
  /** nobody listens: JetStream is off, or this account has none */
  | { readonly kind: 'absent' }

const encoder = new TextEncoder()
const noBytes = new Uint8Array()

/** The requests of JetStream's API that a publisher needs. Nothing here changes anything on the server. */
export class JetStreamApi {
  readonly #replies: Replies
  readonly #prefix: string
  readonly #system: string

  constructor(replies: Replies, options: { readonly prefix: string; readonly system: string }) {
    this.#replies = replies
    this.#prefix = options.prefix
    this.#system = options.system
  }

  /** @throws {OutboxError} `unavailable` when there is no answer; `setup-required` when it is not allowed to ask */
  async request(path: string, body: object | undefined, signal: AbortSignal): Promise<ApiAnswer> {
    const system = this.#system
    const subject = `${this.#prefix}.${path}`
    const data = body === undefined ? noBytes : encoder.encode(JSON.stringify(body))
    const answer = await this.#replies.ask({ subject, data }, signal, (reply) => reply)
    switch (answer.kind) {
      case 'noResponders':
        return { kind: 'absent' }
      case 'forbidden':
        throw forbiddenSubject(subject, system, answer.error)
      case 'notConnected':
      case 'callerGone':
      case 'clientRefused':
      case 'unanswered':
        signal.throwIfAborted()
        throw unavailable(`${system}: JetStream does not answer on '${subject}'.`, { system, cause: answer.error })
      case 'reply':
        return apiAnswer(answer.reply, subject, system)
    }
  }

  /**
   * Sends a message without a body on a subject of the user's own, and waits for any reply of a stream.
   *
   * @throws {OutboxError} `unavailable` when nobody takes it, or nobody answers
   */
  async tryPublish(subject: string, headers: object, signal: AbortSignal): Promise<'allowed' | 'forbidden'> {
    const answer = await this.#replies.ask({ subject, data: noBytes, headers }, signal, acknowledgementFrom)
    if (answer.kind === 'reply') return 'allowed'
    if (answer.kind === 'forbidden') return 'forbidden'
    signal.throwIfAborted()
    const system = this.#system
    if (answer.kind === 'noResponders') throw unavailable(noStream(subject, system), { system })
    throw unavailable(`${system}: no stream answers on '${subject}'.`, { system, cause: answer.error })
  }

  /** Names of the streams that take at least one subject matched by `subject`. */
  async streamNames(subject: string, signal: AbortSignal): Promise<readonly string[]> {
    const answer = await this.request('STREAM.NAMES', { subject }, signal)
    if (answer.kind !== 'ok') throw this.notThere('STREAM.NAMES', answer)
    const names = answer.body['streams']
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
  }

  /** The error for a request that should have been answered. */
  notThere(path: string, answer: Exclude<ApiAnswer, { readonly kind: 'ok' }>): OutboxError<'unavailable'> {
    const reason =
      answer.kind === 'absent' ? 'nobody answers' : `${answer.refusal.description} (${answer.refusal.code})`
    return unavailable(`${this.#system}: JetStream's ${path} failed: ${reason}.`, { system: this.#system })
  }
}

function apiAnswer(data: Uint8Array, subject: string, system: string): ApiAnswer {
  const body = jsonFrom(data)
  if (!isRecord(body)) throw unavailable(`${system}: the reply on '${subject}' is no JSON object.`, { system })
  const { error } = body
  if (!isRecord(error)) return { kind: 'ok', body }
  const code = typeof error['err_code'] === 'number' ? error['err_code'] : 0
  return { kind: 'refused', refusal: { code, description: String(error['description']) } }
}
