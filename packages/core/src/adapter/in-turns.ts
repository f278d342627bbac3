/** Something of a partition that may come into a batch. */
export interface Standing {
  readonly partition: number
  /** in the order of the scan: the smallest is the oldest */
  readonly position: number
}

/**
 * For stores: the oldest of each partition, then the second of each, and so on, from all queues alike. So no partition
 * keeps another out of a batch, nor one queue the other, such as aggregates that failed before and those that never
 * did.
 */
export function inTurns<One extends Standing>(...queues: readonly (readonly One[])[]): readonly One[] {
  const ranked = queues.flatMap((queue) => {
    const turns = new Map<number, number>()
    return queue.toSorted(byPosition).map((one) => {
      const turn = turns.get(one.partition) ?? 0
      turns.set(one.partition, turn + 1)
      return { one, turn }
    })
  })
  ranked.sort((a, b) => a.turn - b.turn || byPosition(a.one, b.one))
  return ranked.map(({ one }) => one)
}

function byPosition(a: Standing, b: Standing): number {
  return a.position - b.position
}
