import type { Figures, Work } from './contestant.ts'
import { peakMemoryBytes } from './peak-memory.ts'

/** What a process knows of a run. */
export interface Done {
  readonly ms: number
  /** CPU of the process, user and system */
  readonly cpuMs: number
  /** the most memory that the process has had so far */
  readonly rssBytes: number
  readonly figures: Figures
}

/** Runs what is timed. */
export async function timed(work: Work): Promise<Done> {
  const cpuBefore = process.cpuUsage()
  const before = performance.now()
  const figures = (await work.run()) ?? {}
  const ms = performance.now() - before
  const { user, system } = process.cpuUsage(cpuBefore)
  return { ms, cpuMs: (user + system) / 1000, rssBytes: peakMemoryBytes(), figures }
}
