import { cpus, loadavg, totalmem } from 'node:os'

/** Where and when something was measured. */
export interface Machine {
  readonly at: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  /** of the last minute, at the end of the measurement, which is some of it */
  readonly load: number
}

export function machine(): Machine {
  const [first] = cpus()
  return {
    at: new Date().toISOString(),
    node: process.version,
    cpu: first?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    load: loadavg()[0] ?? 0,
  }
}
