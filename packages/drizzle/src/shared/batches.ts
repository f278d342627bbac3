/** Rows that one statement deletes: it is over in a few milliseconds, and so is whatever waits for it. */
const batchSize = 1000

/**
 * Deletes at most `limit` rows in batches, each a statement that commits by itself.
 *
 * @param deleteBatch - finds at most so many rows, oldest first, and deletes those that it may
 * @returns how many were deleted: fewer than `limit` means that none is left, but for what others have locked
 */
export async function inBatches(limit: number, deleteBatch: (limit: number) => Promise<Batch>): Promise<number> {
  let deleted = 0
  for (let left = limit; left > 0; ) {
    const size = Math.min(batchSize, left)
    const batch = await deleteBatch(size)
    deleted += batch.deleted
    left -= batch.found
    if (batch.found < size) break
  }
  return deleted
}

export interface Batch {
  readonly found: number
  /** of these; others have the rest locked */
  readonly deleted: number
}
