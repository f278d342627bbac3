import type { Lease } from '@outbox/core'
import type { MemoryOutbox } from '../../src/index.ts'

/** The leases that somebody holds. */
export async function heldLeases(store: MemoryOutbox): Promise<readonly Lease[]> {
  const { leases } = await store.poll({ holder: '' })
  return leases.flatMap((lease) => (lease.holder === null ? [] : [{ ...lease, holder: lease.holder }]))
}
