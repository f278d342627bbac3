import { partitionCount } from '@outbox/core'
import type { NodeChild } from '@outbox/services'

/*
 * What the processes of a lab tell, as `relay-process.ts` and `load-process.ts` write it.
 */

export type Message = Readonly<Record<string, unknown>>

/** Whoever tells something. */
export type Teller = Pick<NodeChild, 'messages'>

/** What a relay process tells of its leases. */
interface PartitionsNote {
  readonly partitions: readonly number[]
  readonly atMs: number
}

/** What a relay process tells of a batch. */
interface PublishedNote {
  readonly ids: readonly string[]
  readonly atMs: number
}

/** Everything of one kind that these have told. */
export function toldBy(children: readonly Teller[], kind: string): readonly Message[] {
  return children.flatMap(({ messages }) =>
    messages.filter((message): message is Message => isRecord(message) && message['kind'] === kind),
  )
}

/** Whether a relay has passed its checks, and holds partitions or has held some. */
export function isAtWork(relay: NodeChild): boolean {
  return toldBy([relay], 'partitions').length > 0
}

/** Whether a relay has published something that the store knows of. */
export function hasPublished(relay: NodeChild): boolean {
  return toldBy([relay], 'published').length > 0
}

/** When every partition was, or had been since `from`, one of these relays', by the machine's clock; undefined: not yet. */
export function heldAgainAt(relays: readonly NodeChild[], from: number): number | undefined {
  const heldAt = new Map<number, number>()
  for (const relay of relays) {
    const notes = toldBy([relay], 'partitions') as unknown as readonly PartitionsNote[]
    notes.forEach(({ partitions, atMs }, index) => {
      if ((notes[index + 1]?.atMs ?? Infinity) <= from) return
      for (const one of partitions) heldAt.set(one, Math.min(heldAt.get(one) ?? Infinity, Math.max(atMs, from)))
    })
  }
  return heldAt.size === partitionCount ? Math.max(...heldAt.values()) : undefined
}

/** When each entry was first told as published, by the machine's clock; who died may not have told it. */
export function publishedAt(relays: readonly NodeChild[]): ReadonlyMap<string, number> {
  const toldAt = new Map<string, number>()
  for (const { ids, atMs } of toldBy(relays, 'published') as unknown as readonly PublishedNote[]) {
    for (const id of ids) toldAt.set(id, Math.min(atMs, toldAt.get(id) ?? Infinity))
  }
  return toldAt
}

function isRecord(message: unknown): message is Message {
  return typeof message === 'object' && message !== null
}
