import type { BrokerKind } from '@outbox/end-to-end/brokers'
import { type StoreName, storeNames } from '@outbox/end-to-end/stores'
import { type Fault, faults } from './faults.ts'

export const publishers: readonly BrokerKind[] = ['redis', 'nats']

/** One run. */
export interface Case {
  readonly store: StoreName
  readonly publisher: BrokerKind
  readonly fault: Fault
}

export interface Choice {
  readonly store?: readonly string[] | undefined
  readonly publisher?: readonly string[] | undefined
  readonly fault?: readonly string[] | undefined
}

/** Every pair under every fault that suits it, as far as chosen, whether or not this machine has what it needs. */
export function casesOf(choice: Choice): readonly Case[] {
  const isChosen = (names: readonly string[] | undefined, name: string): boolean => names?.includes(name) ?? true
  return storeNames
    .filter((store) => isChosen(choice.store, store))
    .flatMap((store) =>
      publishers
        .filter((publisher) => isChosen(choice.publisher, publisher))
        .flatMap((publisher) =>
          faults
            .filter(({ name, suits }) => isChosen(choice.fault, name) && (suits?.(store, publisher) ?? true))
            .map((fault) => ({ store, publisher, fault })),
        ),
    )
}

/** So few of them that every fault is there, every store and every broker: each fault once, the pairs in turn. */
export function sliceOf(cases: readonly Case[]): readonly Case[] {
  const uses = new Map<string, number>()
  const use = (name: string): number => uses.get(name) ?? 0
  const byFault = new Map<string, Case[]>()
  for (const one of cases) byFault.set(one.fault.name, [...(byFault.get(one.fault.name) ?? []), one])
  // those that suit few come first, so that the others make up for them
  const lists = [...byFault.values()].sort((a, b) => a.length - b.length)
  return lists.flatMap((list) => {
    const rarest = list.toSorted((a, b) => use(a.store) - use(b.store) || use(a.publisher) - use(b.publisher))[0]
    if (!rarest) return []
    for (const name of [rarest.store, rarest.publisher]) uses.set(name, use(name) + 1)
    return [rarest]
  })
}
