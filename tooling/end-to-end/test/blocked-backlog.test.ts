import { event, permanent, publisher } from '@outbox/core'
import { createRelay } from '@outbox/relay'
import { describeWith, freshDatabase, waitFor } from '@outbox/services'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { createShop, openShop, type Shop } from '../src/shop.ts'

const backlog = 100_000
const others = 5_000

const poison = { type: 'order.poisoned', aggregateId: 'bad', payload: {} }
const change = (aggregateId: string) => ({ type: 'order.changed', aggregateId, payload: {} })

/** Publishes what is due, with a broker that never takes the poison; the aggregate of the poison stands still. */
async function drain({ outbox }: Shop): Promise<number> {
  const broker = publisher({
    name: 'picky',
    send: ({ eventType }) => {
      if (eventType === poison.type) throw permanent('refused on purpose')
    },
  })
  const { published } = await createRelay({ store: outbox, publisher: broker, onDead: 'block' }).tick()
  return published
}

async function blockWithBacklog(shop: Shop): Promise<void> {
  await shop.db.transaction(async (tx) => {
    await shop.outbox.enqueue(tx, event(poison.type, poison))
    for (let written = 0; written < backlog; written += 10_000) {
      await shop.outbox.enqueue(
        tx,
        Array.from({ length: 10_000 }, () => change('bad')),
      )
    }
  })
  await waitFor(
    async () => {
      await drain(shop)
      const [row] = await shop.query(`select count(*)::int as n from outbox_entries where state = 'pending'`)
      return row?.['n'] === 0
    },
    { what: 'the backlog to leave the scanned index', timeoutMs: 60_000 },
  )
}

/** Rows that the server has read from the entries, through indexes or without; complete once its sessions are closed. */
async function rowsRead(url: string): Promise<number> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await waitFor(
      async () => {
        const { rows } = await client.query(
          'select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
        )
        return rows[0].n === 0
      },
      { what: 'the sessions to close' },
    )
    const { rows } = await client.query(
      `select seq_tup_read + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'outbox_entries') as n
       from pg_stat_user_tables where relname = 'outbox_entries'`,
    )
    return Number(rows[0].n)
  } finally {
    await client.end()
  }
}

/** What the server reads to drain some entries of other aggregates. */
async function costOfOthers(isBlocked: boolean): Promise<number> {
  await using database = await freshDatabase()
  {
    await using shop = await createShop(database.url)
    if (isBlocked) await blockWithBacklog(shop)
    const events = Array.from({ length: others }, (_, index) => change(`order-${index % 500}`))
    await shop.db.transaction((tx) => shop.outbox.enqueue(tx, events))
    await shop.query('vacuum analyze outbox_entries')
  }
  const before = await rowsRead(database.url)
  {
    await using shop = openShop(database.url)
    expect(await drain(shop)).toBe(others)
  }
  return (await rowsRead(database.url)) - before
}

describeWith('postgres', 'an aggregate that is blocked with 100,000 entries behind it', () => {
  test('makes the server read less than a tenth more for the others', { timeout: 180_000 }, async () => {
    const alone = await costOfOthers(false)
    const beside = await costOfOthers(true)
    process.stdout.write(`rows read to drain ${others} entries: ${alone} alone, ${beside} beside the blocked backlog\n`)
    expect(beside).toBeLessThan(alone * 1.1)
  })
})
