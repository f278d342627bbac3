// #region trim
import type { Redis } from 'ioredis'

/**
 * Trims from a stream what all its consumer groups have acknowledged, and returns how many items that were.
 *
 * A stream without a group is left alone. Items may be added and read meanwhile, and several such jobs may run: groups
 * only move on. But make a new group before its stream is trimmed: what is gone, it does not get.
 *
 * @param keepMs - how long an item stays in any case, for a consumer that is restored from a backup
 */
export async function trimAcknowledged(redis: Redis, stream: string, keepMs: number = 0): Promise<number> {
  const needed: string[] = []
  for (const [name, lastDelivered] of await groupsOf(redis, stream)) {
    const [, oldestPending] = await redis.xpending(stream, name)
    needed.push(typeof oldestPending === 'string' ? oldestPending : after(lastDelivered))
  }
  if (needed.length === 0) return 0
  const [oldest = ''] = [...needed, `${Date.now() - keepMs}-0`].toSorted(inStreamOrder)
  let trimmed = 0
  for (;;) {
    // `~` goes in whole nodes of the stream, up to 10,000 items a call, so that the server answers others in between
    const some = await redis.xtrim(stream, 'MINID', '~', oldest)
    trimmed += some
    // what is left of the last node, or a quiet stream would keep its items for years
    if (some === 0) return trimmed + (await redis.xtrim(stream, 'MINID', oldest))
  }
}

/** The next id that there may be. */
function after(id: string): string {
  const [time, count = '0'] = id.split('-')
  return `${time}-${BigInt(count) + 1n}`
}

/** The name and the last id delivered of each group. */
async function groupsOf(redis: Redis, stream: string): Promise<readonly (readonly [string, string])[]> {
  const answer: unknown = await redis.xinfo('GROUPS', stream)
  if (!Array.isArray(answer)) throw new Error(`XINFO GROUPS ${stream} gave no list`)
  return answer.map((fields: readonly unknown[]) => {
    const field = (name: string): string => String(fields[fields.indexOf(name) + 1])
    return [field('name'), field('last-delivered-id')]
  })
}

/** Ids are two numbers: milliseconds, and a count. */
function inStreamOrder(a: string, b: string): number {
  const [aTime = 0, aCount = 0] = a.split('-').map(Number)
  const [bTime = 0, bCount = 0] = b.split('-').map(Number)
  return aTime - bTime || aCount - bCount
}
// #endregion
