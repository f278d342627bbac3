// #region trim
import type { Redis } from 'ioredis'

/**
 * Trims from a stream what all its consumer groups have acknowledged, and returns how many items that were.
 *
 * A stream without a group is left alone. Items may be added and read meanwhile, and several such jobs may run: groups
 * only move on. But make a new group before its stream is trimmed: what is gone, it does not get.
 */
export async function trimAcknowledged(redis: Redis, stream: string): Promise<number> {
  const needed: string[] = []
  for (const [name, lastDelivered] of await groupsOf(redis, stream)) {
    const [, oldestPending] = await redis.xpending(stream, name)
    needed.push(lastDelivered, ...(typeof oldestPending === 'string' ? [oldestPending] : []))
  }
  const [oldest] = needed.toSorted(inStreamOrder)
  if (oldest === undefined) return 0
  let trimmed = 0
  for (;;) {
    // `~` goes in whole nodes of the stream, up to 10,000 items a call, so that the server answers others in between
    const some = await redis.xtrim(stream, 'MINID', '~', oldest)
    if (some === 0) return trimmed
    trimmed += some
  }
}

/** The name and the last id delivered of each group. */
async function groupsOf(redis: Redis, stream: string): Promise<readonly (readonly [string, string])[]> {
  const answer: unknown = await redis.xinfo('GROUPS', stream)
  if (!Array.isArray(answer)) throw new Error(`XINFO GROUPS ${stream} gave no list`)
  return answer.map((fields: readonly unknown[]) => {
    const after = (name: string): string => String(fields[fields.indexOf(name) + 1])
    return [after('name'), after('last-delivered-id')]
  })
}

/** Ids are two numbers: milliseconds, and a count. */
function inStreamOrder(a: string, b: string): number {
  const [aTime = 0, aCount = 0] = a.split('-').map(Number)
  const [bTime = 0, bCount = 0] = b.split('-').map(Number)
  return aTime - bTime || aCount - bCount
}
// #endregion
