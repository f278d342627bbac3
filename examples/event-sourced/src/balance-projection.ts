import { setTimeout } from 'node:timers/promises'
import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeRedisEntry } from '@outbox/redis'
import { lt, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Redis } from 'ioredis'
import { balances } from './tables.ts'

const group = 'balances'
const consumer = 'balances-1'
const blockMs = 1_000

/** Makes the consumer group anew, at the beginning of the stream: nothing of it was given to anybody. */
export async function startFromBeginning(redis: Redis, stream: string): Promise<void> {
  await createGroup(redis, stream)
  await redis.xgroup('DESTROY', stream, group)
  await createGroup(redis, stream)
}

async function createGroup(redis: Redis, stream: string): Promise<void> {
  await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM').catch((error: Error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error
  })
}

/**
 * Follows the accounts, and says what it made of each event; a message is acknowledged when the caller asks for the
 * next. Needs a connection of its own, which waits for messages. When that is lost, or the stream or its group, it
 * throws: begin again.
 */
export async function* followBalances(db: NodePgDatabase, redis: Redis, stream: string): AsyncGenerator<string, void> {
  await setTimeout(blockMs) // so long the server may go on with an earlier read, whose connection is gone
  await createGroup(redis, stream)
  let from = '0' // first what this consumer was given and did not acknowledge
  for (;;) {
    const reply = await redis.xreadgroup(
      'GROUP',
      group,
      consumer,
      'COUNT',
      10,
      'BLOCK',
      blockMs,
      'STREAMS',
      stream,
      from,
    )
    const items = reply?.[0]?.[1] ?? []
    for (const item of items) {
      yield item[1] ? await handle(db, decodeRedisEntry(item)) : `${item[0]} was deleted before it was handled`
      await redis.xack(stream, group, item[0])
    }
    if (from !== '>') from = items.at(-1)?.[0] ?? '>' // then what nobody was given yet
  }
}

async function handle(db: NodePgDatabase, event: ReceivedEntry<{ readonly cents: number }>): Promise<string> {
  const { aggregateId, sequence, eventType, payload } = event
  const cents = eventType === 'account.debited' ? -payload.cents : payload.cents
  const balance = await project(db, { accountId: aggregateId, version: sequence, cents })
  return `${aggregateId} #${sequence} ${eventType} ${payload.cents}: ${balance}`
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
