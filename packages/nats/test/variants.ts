import type { PublisherSuiteCapabilities } from '@outbox/conformance'
import type { NatsPublisherOptions } from '../src/index.ts'
import { batchingServer, servers } from './support.ts'

/** A format, a fence and a way to send batches that the promises are checked with. */
export type Variant = Required<Pick<NatsPublisherOptions, 'format' | 'fence' | 'batch'>>

const plain: Variant = { format: 'headers', fence: 'none', batch: 'none' }
const fenced: Variant = { format: 'cloudevents', fence: 'subject', batch: 'none' }
const atomic: Variant = { format: 'headers', fence: 'none', batch: 'atomic' }

/** Each variant with the servers that know it. */
export const variants: readonly ((typeof servers)[number] & { readonly variant: Variant })[] = [
  ...servers.flatMap((server) => [plain, fenced].map((variant) => ({ ...server, variant }))),
  { ...batchingServer, variant: atomic },
].map(({ name, variant, ...server }) => ({
  ...server,
  variant,
  name: `${name}, ${variant.format}, fence: ${variant.fence}, batch: ${variant.batch}`,
}))

const plays = { deduplicates: true, limitsPayload: true, probes: true, refuses: true } as const
const troubles = { outage: true, silence: true } as const

export function capabilitiesOf({ fence }: Variant): PublisherSuiteCapabilities {
  return {
    ...plays,
    ...troubles,
    fences: fence === 'subject' || { leftOut: "only with fence: 'subject'" },
    fencesPartitions: { leftOut: 'JetStream compares per subject' },
  }
}
