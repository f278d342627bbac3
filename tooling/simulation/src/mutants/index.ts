import type { Mutant } from './mutant.ts'
import { relayMutants } from './relay-mutants.ts'
import { storeMutants } from './store-mutants.ts'
import { tellingMutants } from './telling-mutants.ts'

export type { Mutant } from './mutant.ts'
export { partsWith } from './mutant.ts'

export const mutants: readonly Mutant[] = [...relayMutants, ...tellingMutants, ...storeMutants]
