import { rowLimit } from './sql.ts'

/** Rows that one transaction deletes: the write lock is held for a few milliseconds at a time. */
const purgeStep = 500

/**
 * Deletes at most `limit` rows in short transactions, between which others have a turn.
 *
 * @param deleteSome - one transaction; @returns how many it deleted
 */
export async function purgeInSteps(limit: number, deleteSome: (limit: number) => Promise<number>): Promise<number> {
  const most = rowLimit(limit)
  let deleted = 0
  while (deleted < most) {
    const step = Math.min(purgeStep, most - deleted)
    const count = await deleteSome(step)
    deleted += count
    if (count < step) break
    await new Promise((resolve) => setImmediate(resolve))
  }
  return deleted
}
