/** What was seen at one moment; null where whoever was asked was away. */
export interface Sample {
  /** since the load began */
  readonly atMs: number
  /** of the relay that is never killed, after a collection of garbage */
  readonly rssBytes: number | null
  readonly heapBytes: number | null
  /** timers, sockets and other things that keep the same process busy */
  readonly handles: number | null
  /** open through the proxies, by all processes */
  readonly databaseConnections: number
  readonly brokerConnections: number
  /** age of the oldest pending entry */
  readonly lagMs: number | null
  readonly pending: number | null
  /** the entries' table with its indexes, or the whole file */
  readonly tableBytes: number | null
}

export type Measured = Exclude<keyof Sample, 'atMs'>

/** The samples that have a figure, as points. */
export function pointsOf(
  samples: readonly Sample[],
  what: Measured,
): readonly (readonly [atMs: number, value: number])[] {
  return samples.flatMap((sample) => {
    const value = sample[what]
    return value === null ? [] : [[sample.atMs, value] as const]
  })
}

/**
 * The slope of a straight line through points, by least squares, in units of y per unit of x.
 *
 * @returns undefined for fewer than two different x
 */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number | undefined {
  const meanX = mean(points.map(([x]) => x))
  const meanY = mean(points.map(([, y]) => y))
  const spread = sum(points.map(([x]) => (x - meanX) ** 2))
  if (points.length < 2 || spread === 0) return undefined
  return sum(points.map(([x, y]) => (x - meanX) * (y - meanY))) / spread
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function mean(numbers: readonly number[]): number {
  return sum(numbers) / numbers.length
}
