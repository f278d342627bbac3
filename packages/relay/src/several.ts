import type { Publisher } from '@outbox/core'
import { invalidOption } from '@outbox/core/adapter'

/** @throws {OutboxError} `invalid-option` for a factory that was given no destination, or what is none */
export function requireSome(factory: string, destinations: readonly (Partial<Publisher> | undefined)[]): void {
  const isFine = destinations.length > 0 && destinations.every((each) => each?.publish && each.capabilities)
  if (!isFine) throw invalidOption(factory, 'destinations', 'must be publishers; name one at least')
}

/** Looks at the set-up of all. @returns everybody's warnings */
export function checkAll(destinations: readonly Publisher[]): NonNullable<Publisher['check']> {
  return async (call) => {
    const warnings = await Promise.all(destinations.map(async (each) => (await each.check?.(call)) ?? []))
    return warnings.flat()
  }
}

/** Probes all, where all can be probed: one that cannot would pass for one that answers. */
export function probeAll(destinations: readonly Publisher[]): Pick<Publisher, 'probe'> {
  if (!destinations.every(({ probe }) => probe)) return {}
  return {
    async probe(call) {
      await Promise.all(destinations.map(async (each) => each.probe?.(call)))
    },
  }
}
