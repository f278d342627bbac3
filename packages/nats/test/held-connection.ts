import type { NatsConnectionLike } from '../src/index.ts'

export interface HeldConnection extends NatsConnectionLike {
  /** subjects of what was published so far, held or not */
  readonly published: readonly string[]
  /** From now on publishes to subjects that `matches` takes are kept back, as in a process that stands still. */
  hold(matches: (subject: string) => boolean): void
  /** Sends what was kept back, and holds nothing any more. */
  release(): void
  /** messages kept back now */
  readonly held: number
}

/** A connection that shows what is published on it, and can keep it back. */
export function holdable(connection: NatsConnectionLike): HeldConnection {
  const published: string[] = []
  const held: (() => void)[] = []
  let matches: (subject: string) => boolean = () => false
  return {
    published,
    get held() {
      return held.length
    },
    hold(which) {
      matches = which
    },
    release() {
      matches = () => false
      for (const send of held.splice(0)) send()
    },
    publish(subject, data, options) {
      published.push(subject)
      const send = (): void => connection.publish(subject, data, options)
      if (matches(subject)) held.push(send)
      else send()
    },
    subscribe: (subject, options) => connection.subscribe(subject, options),
    status: () => connection.status(),
    isClosed: () => connection.isClosed(),
    isDraining: () => connection.isDraining(),
    get info() {
      return connection.info
    },
  }
}
