import { type Measured, pointsOf, type Sample, slopeOf } from './sample.ts'

export const MB = 1_000_000
/** what a process needs to have everything loaded, compiled and cached */
const warmUpMs = 180_000
/** the least that is worth a judgement after it */
const judgedMs = 60_000

/** RSS of a relay that leaks nothing has grown by 24 MB an hour in a quarter of an hour; this is ten times as much. */
export const mostGrowthPerHour = 250
/** MB that a cache or a page that the system has not taken back may add within a run, however short it is */
const noise = 20

/** Where the judgement of memory begins: after the warm-up, or half-way through a run that is too short for one. */
export function settledFromMs(samples: readonly Sample[]): number {
  const lastMs = samples.at(-1)?.atMs ?? 0
  return lastMs >= warmUpMs + judgedMs ? warmUpMs : lastMs / 2
}

/** Megabytes an hour, by least squares; undefined for too few samples. */
export function growthPerHour(samples: readonly Sample[], what: Measured): number | undefined {
  const fromMs = settledFromMs(samples)
  const slope = slopeOf(pointsOf(samples, what).filter(([atMs]) => atMs >= fromMs))
  return slope === undefined ? undefined : (slope * 3_600_000) / MB
}

/** What is wrong with the memory of the untouched relay, in words; a run that ends with its warm-up says nothing of it. */
export function outgrown(samples: readonly Sample[]): readonly string[] {
  const lastMs = samples.at(-1)?.atMs ?? 0
  if (lastMs < warmUpMs + judgedMs) return []
  const growth = growthPerHour(samples, 'rssBytes')
  if (growth === undefined) return ['nobody knows how much memory the untouched relay took']
  const most = Math.max(mostGrowthPerHour, (noise * 3_600_000) / (lastMs - warmUpMs))
  return growth > most ? [`RSS grew by ${growth.toFixed(0)} MB an hour, more than ${most.toFixed(0)}`] : []
}
