import { randomUUID } from 'node:crypto'
import { event } from '@outbox/core'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import type { Contestant, Setting } from '../../contestant.ts'
import { isAbout, startRelay } from '../../relays.ts'
import { aggregateOf, batches, payloadOf } from '../../rows.ts'

type Way = 'plain insert' | 'caller’s sequences' | 'assigned sequences'

export interface ProducerOptions {
  readonly title: string
  readonly role: Contestant['role']
  readonly way: Way
  /** whether a relay publishes to nowhere meanwhile, in a process of its own */
  readonly hasRelay?: boolean
}

/** Clients that each commit transactions of some entries, one after the other. */
export function producer({ title, role, way, hasRelay = false }: ProducerOptions): Contestant {
  return {
    title,
    role,
    guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
    tuning: hasRelay ? 'a relay with its defaults works in another process' : 'nobody relays',
    async prepare({ url }) {
      const pool = new pg.Pool({ connectionString: url })
      await setup(drizzle({ client: pool }))
      await pool.end()
    },
    async open(setting) {
      const { url, rows, perTransaction = 1, clients = 1 } = setting
      const pool = new pg.Pool({ connectionString: url, max: clients })
      const write = writer(way, pool, setting)
      const connected = await Promise.all(Array.from({ length: clients }, () => pool.connect()))
      for (const client of connected) client.release()
      const relay = hasRelay ? startRelay({ url }) : undefined
      await relay?.next(isAbout('partitions'), 120_000)
      const all = batches(rows, perTransaction)
      return {
        async run() {
          const one = async (): Promise<void> => {
            for (const batch of all) await write(batch)
          }
          await Promise.all(Array.from({ length: clients }, one))
          return undefined
        },
        left: async () => rows - Number((await pool.query('select count(*) from outbox_entries')).rows[0]?.count),
        async [Symbol.asyncDispose]() {
          await relay?.kill()
          await pool.end()
        },
      }
    },
  }
}

function writer(way: Way, pool: pg.Pool, setting: Setting): (batch: readonly number[]) => Promise<unknown> {
  if (way === 'plain insert') return (batch) => insertPlainly(pool, batch, setting)
  const db = drizzle({ client: pool })
  const outbox = pgOutbox({ db })
  return (batch) =>
    db.transaction((tx) =>
      outbox.enqueue(
        tx,
        batch.map((n) =>
          event('order.placed', {
            aggregateId: aggregateOf(n, setting),
            payload: payloadOf(n, setting),
            ...(way === 'caller’s sequences' ? { sequence: sequenceOf(n, setting) } : {}),
          }),
        ),
      ),
    )
}

function sequenceOf(n: number, { aggregates }: Setting): number {
  return Math.floor(n / aggregates) + 1
}

/** The same row into the same table with the same indexes, and nothing looked at. */
async function insertPlainly(pool: pg.Pool, batch: readonly number[], setting: Setting): Promise<void> {
  const places = batch.map((_, row) => `(${Array.from({ length: 8 }, (__, column) => `$${row * 8 + column + 1}`)})`)
  const values = batch.flatMap((n) => [
    randomUUID(),
    (n % setting.aggregates) % 64,
    'order',
    aggregateOf(n, setting),
    'order.placed',
    sequenceOf(n, setting),
    JSON.stringify(payloadOf(n, setting)),
    '{}',
  ])
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(
      `insert into outbox_entries
         (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, headers) values ${places}`,
      values,
    )
    await client.query('commit')
  } finally {
    client.release()
  }
}
