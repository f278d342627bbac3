/** Rows that one statement deletes: it is over in a few milliseconds, and so is whatever waits for it. */
const batchSize = 1000

/**
 * Deletes at most `limit` rows in batches, each a statement that commits by itself.
 *
 * @param deleteBatch - looks at the next so many rows, oldest first, and deletes at most `limit` of them: those that it
 *   may. Where others have locked some, it looks at more than it may delete.
 * @returns how many were deleted: fewer than `limit` means that none is left, but for what others have locked
 */
export async function inBatches(
  limit: number,
  deleteBatch: (batch: { readonly look: number; readonly limit: number }) => Promise<Batch>,
): Promise<number> {
  let deleted = 0
  let isAnyLocked = false
  while (deleted < limit) {
    const left = Math.min(batchSize, limit - deleted)
    const look = isAnyLocked ? batchSize : left
    const batch = await deleteBatch({ look, limit: left })
    deleted += batch.deleted
    isAnyLocked ||= batch.deleted < batch.found
    if (batch.found < look) break
  }
  return deleted
}

export interface Batch {
  readonly found: number
  /** of these */
  readonly deleted: number
}
