type FetchDepths = Readonly<
  Record<'smallestFront' | 'crowdedBelow' | 'crowdedPartitions' | 'deepWindow' | 'hotAbove' | 'parkedAtOnce', number>
>

/**
 * How deep a fetch reads. A window is the front of a partition's scan; where a few aggregates fill it, another, deeper
 * one is read, of a few partitions each time, and what fills it is parked so that it never fills it again.
 */
export const depths: FetchDepths = Object.freeze({
  smallestFront: 16,
  /** fewer aggregates than that in a full window mean that others may stand behind them */
  crowdedBelow: 4,
  crowdedPartitions: 2,
  deepWindow: 2000,
  /** more entries of one aggregate than that in a deep window are parked, though it is due */
  hotAbove: 500,
  parkedAtOnce: 2000,
})
