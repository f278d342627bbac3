import { type LeasedSource, partitionOf } from '@outbox/core'

/** A relay that holds the lease which the aggregate `order a` needs, and no other. */
export interface Relay {
  readonly holder: string
  readonly leases: Awaited<ReturnType<LeasedSource['acquire']>>
}

/** Takes that lease for a new relay, from `gone` if there is one. */
export async function takeOver(store: LeasedSource, gone?: Relay): Promise<Relay> {
  const holder = crypto.randomUUID()
  await store.join({ holder })
  const { leases, relays } = await store.poll({ holder })
  const claims = leases.filter(({ partition }) => partition === partitionOf('order', 'a'))
  const evict = relays.filter((relay) => relay.holder === gone?.holder)
  return { holder, leases: await store.acquire({ holder, claims, evict }) }
}
