import type { Machine } from './machine.ts'
import type { Heat } from './scenario.ts'

/** What a JSON file of figures holds, by scenario. */
export type Results = Readonly<Record<string, ScenarioResult>>

export interface ScenarioResult {
  readonly measured: Machine
  readonly rounds: number
  readonly scale: number
  readonly heats: readonly Heat[]
}
