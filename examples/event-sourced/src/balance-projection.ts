import { decodeRedisEntry } from '@outbox/redis'
import { lt, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Redis } from 'ioredis'
import { balances } from './tables.ts'

const group = 'balances'
const consumer = 'balances-1'

/** Makes the consumer group, or puts it back to the beginning of the stream. */
export async function startFromBeginning(redis: Redis, stream: string): Promise<void> {
  try {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  } catch (error) {
    const exists = error instanceof Error && error.message.startsWith('BUSYGROUP')
    if (!exists) throw error
    await redis.xgroup('SETID', stream, group, '0')
  }
}

/**
 * Follows the accounts, and says what it made of each event; a message is acknowledged when the caller asks for the
 * next. Needs a connection of its own, which waits for messages.
 */
export async function* followBalances(db: NodePgDatabase, redis: Redis, stream: string): AsyncGenerator<string, void> {
  for (;;) {
    const reply = await redis.xreadgroup('GROUP', group, consumer, 'COUNT', 10, 'BLOCK', 5_000, 'STREAMS', stream, '>')
    for (const item of reply?.[0]?.[1] ?? []) {
      const { aggregateId, sequence, eventType, payload } = decodeRedisEntry<{ readonly cents: number }>(item)
      const cents = eventType === 'account.debited' ? -payload.cents : payload.cents
      const balance = await project(db, { accountId: aggregateId, version: sequence, cents })
      yield `${aggregateId} #${sequence} ${eventType} ${payload.cents}: ${balance}`
      await redis.xack(stream, group, item[0])
    }
  }
}

/**
 * Applies one change once. An account's events come in the order of its versions, so the last version applied tells a
 * repeat: no list of event ids is needed.
 */
async function project(db: NodePgDatabase, change: typeof balances.$inferInsert): Promise<string> {
  const [balance] = await db
    .insert(balances)
    .values(change)
    .onConflictDoUpdate({
      target: balances.accountId,
      set: { version: change.version, cents: sql`${balances.cents} + ${change.cents}` },
      setWhere: lt(balances.version, change.version),
    })
    .returning()
  return balance ? `balance ${balance.cents}` : 'applied before'
}
