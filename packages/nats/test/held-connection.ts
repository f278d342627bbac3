import type { NatsConnectionLike } from '../src/index.ts'
import { ForwardingConnection } from './forwarding-connection.ts'

/** A connection that shows what is published on it, and can keep it back. */
export class HeldConnection extends ForwardingConnection {
  /** subjects of what was published so far, held or not */
  readonly published: string[] = []
  readonly #held: (() => void)[] = []
  #matches: (subject: string) => boolean = () => false

  override publish(...call: Parameters<NatsConnectionLike['publish']>): void {
    const [subject] = call
    this.published.push(subject)
    const send = (): void => super.publish(...call)
    if (this.#matches(subject)) this.#held.push(send)
    else send()
  }

  /** From now on publishes to subjects that `matches` takes are kept back, as in a process that stands still. */
  hold(matches: (subject: string) => boolean): void {
    this.#matches = matches
  }

  /** Sends what was kept back, and holds nothing any more. */
  release(): void {
    this.#matches = () => false
    for (const send of this.#held.splice(0)) send()
  }

  /** messages kept back now */
  get held(): number {
    return this.#held.length
  }
}
