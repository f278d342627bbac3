/** Milliseconds of the machine's monotonic clock: the same for every process, whatever their wall clocks say. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
