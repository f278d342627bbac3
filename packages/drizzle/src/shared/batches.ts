/** Rows that one statement deletes: it is over in a few milliseconds, and so is whatever waits for it. */
const batchSize = 1000

/**
 * Deletes at most `limit` rows in batches, each a statement that commits by itself.
 *
 * @param deleteBatch - deletes at most so many rows, oldest first, and tells how many
 * @returns how many were deleted: fewer than `limit` means that none is left
 */
export async function inBatches(limit: number, deleteBatch: (limit: number) => Promise<number>): Promise<number> {
  let deleted = 0
  while (deleted < limit) {
    const batch = Math.min(batchSize, limit - deleted)
    const count = await deleteBatch(batch)
    deleted += count
    if (count < batch) break
  }
  return deleted
}
