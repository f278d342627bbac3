import { extname, join } from 'node:path'
import { type NodeChild, spawnNode } from '@outbox/services/spawn-node'

/** What a relay's process is told, as JSON in its first argument. */
export interface RelayProcessOptions {
  readonly url: string
  /** whether it fetches nothing before it gets a line; it has its leases by then */
  readonly waits?: boolean
}

/** What it tells. */
export type RelayMessage =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'partitions'; readonly held: number }
  | {
      readonly kind: 'published'
      /** so far */
      readonly published: number
      /** since it was let go */
      readonly cpuMs: number
      readonly rssBytes: number
    }

/** compiled if this is */
const program = join(import.meta.dirname, `relay-process${extname(import.meta.filename)}`)

/** Starts a relay with its defaults that publishes to nowhere, in a process of its own. */
export function startRelay(options: RelayProcessOptions): NodeChild {
  return spawnNode(program, [JSON.stringify(options)])
}

export function isAbout<Kind extends RelayMessage['kind']>(
  kind: Kind,
): (message: unknown) => message is Extract<RelayMessage, { readonly kind: Kind }> {
  // as a predicate: written by `relay-process.ts`
  return (message): message is Extract<RelayMessage, { readonly kind: Kind }> =>
    typeof message === 'object' && message !== null && 'kind' in message && message.kind === kind
}
