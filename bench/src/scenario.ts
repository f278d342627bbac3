import type { Entrant } from './race.ts'

export interface ScenarioOptions {
  readonly rounds: number
  /** of the rows, and of what else takes time; 1 is what the page shows */
  readonly scale: number
  /** see `RaceOptions` */
  readonly isIsolated: boolean
  readonly note: (line: string) => void
}

/** Shows that a scenario runs, and measures nothing. */
export const smoke = Object.freeze({ rounds: 1, scale: 0.001, isIsolated: false })

/** One kind of measurement. */
export interface Scenario {
  readonly title: string
  /** what is measured, for the page */
  readonly about: string
  run(options: ScenarioOptions): Promise<readonly Heat[]>
  goals(heats: readonly Heat[]): readonly Goal[]
}

/** Contestants that were measured side by side. */
export interface Heat {
  readonly name: string
  readonly title: string
  /** servers with their settings, rows, payloads */
  readonly setting: string
  readonly entrants: readonly Entrant[]
}

export interface Goal {
  readonly goal: string
  readonly measured: string
  /** undefined where it could not be measured, or where what it was measured against is no measure */
  readonly isMet: boolean | undefined
  /** why there is no verdict, where something was measured */
  readonly note?: string
}

/** How far a figure may be beyond a ceiling by chance. */
const beyondCeiling = 1.05

/**
 * Whether a ratio of two figures is at least, or at most, what was asked for.
 *
 * @param bounds.isCeiling - the other is the best that can be had: whoever is beyond it shows that it is not, and a goal
 *   that was measured against it means nothing
 */
export function ratioGoal(
  goal: string,
  [one, other]: readonly [number | undefined, number | undefined],
  bounds: { readonly atLeast?: number; readonly atMost?: number; readonly isCeiling?: boolean },
): Goal {
  if (one === undefined || other === undefined) return { goal, measured: 'not measured', isMet: undefined }
  const ratio = one / other
  const measured = `${ratio.toFixed(2)} ×`
  const advantage = bounds.atLeast === undefined ? 1 / ratio : ratio
  if (bounds.isCeiling && advantage > beyondCeiling)
    return { goal, measured, isMet: undefined, note: 'the ceiling is none' }
  const isMet = ratio >= (bounds.atLeast ?? 0) && ratio <= (bounds.atMost ?? Number.POSITIVE_INFINITY)
  return { goal, measured, isMet }
}
