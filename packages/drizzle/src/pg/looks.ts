type Looks = Readonly<
  Record<'smallestFront' | 'crowdedBelow' | 'crowdedPartitions' | 'deepWindow' | 'hotAbove' | 'parkedAtOnce', number>
>

/**
 * How far a fetch looks. A window is the front of a partition's scan; where a few aggregates fill it, another, deeper
 * look is taken, at a few partitions each time, and what fills it is parked so that it never fills it again.
 */
export const looks: Looks = Object.freeze({
  smallestFront: 16,
  /** fewer aggregates than that in a full window mean that others may stand behind them */
  crowdedBelow: 4,
  crowdedPartitions: 2,
  deepWindow: 2000,
  /** more entries of one aggregate than that in a deep window are parked, though it is due */
  hotAbove: 500,
  parkedAtOnce: 2000,
})
