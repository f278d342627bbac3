import type { Entrant, Sample } from './race.ts'

/** A figure over several rounds. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** @throws {Error} without a value: there is no median of nothing */
function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  const [least, most] = [sorted[0], sorted.at(-1)]
  if (low === undefined || high === undefined || least === undefined || most === undefined) {
    throw new Error('nothing was measured')
  }
  return { median: (low + high) / 2, least, most }
}

/** The spread of what some samples have; undefined if one of them has not. */
export function spreadOver(
  samples: readonly Sample[],
  measure: (sample: Sample) => number | undefined,
): Spread | undefined {
  const values = samples.map(measure)
  return values.every((value) => value !== undefined) && values.length > 0 ? spreadOf(values) : undefined
}

/** undefined where no rows are counted */
export const perSecond = ({ rows, ms }: Sample): number | undefined => (rows === 0 ? undefined : (rows / ms) * 1000)

/** median rows per second */
export function rateOf(entrants: readonly Entrant[], name: string): number | undefined {
  const entrant = entrants.find((one) => one.name === name)
  return entrant && spreadOver(entrant.samples, perSecond)?.median
}
