import { readFile } from 'node:fs/promises'
import { pgOutbox } from '@outbox/drizzle/pg'
import { createDatabase, describeWith, startPostgres, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg, { Client } from 'pg'
import { expect, test } from 'vitest'
import { blockWithBacklog, drain, drainByHand, enqueueOthers } from '../src/backlog.ts'
import { createShop, openShop } from '../src/shop.ts'

const backlog = 100_000
const others = 5_000
const rounds = 16

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
async function costOfOthers(server: string, isBlocked: boolean): Promise<number> {
  await using database = await createDatabase(server)
  {
    await using shop = await createShop(database.url)
    if (isBlocked) await blockWithBacklog(shop, backlog)
    await enqueueOthers(shop, others)
  }
  const before = await rowsRead(database.url)
  {
    await using shop = openShop(database.url)
    expect(await drainByHand(shop.outbox)).toBe(others)
  }
  return (await rowsRead(database.url)) - before
}

/** Rounds of the same work, one at a time, and the CPU time that the server's sessions have spent on it. */
class MeasuredDrain implements AsyncDisposable {
  readonly #writer: AsyncDisposable & Parameters<typeof enqueueOthers>[0]
  readonly #pool: pg.Pool

  private constructor(url: string) {
    this.#writer = openShop(url)
    // no session may end before it is read
    this.#pool = new pg.Pool({ connectionString: url, max: 6, idleTimeoutMillis: 0 })
  }

  static async open(url: string, isBlocked: boolean): Promise<MeasuredDrain> {
    await using shop = await createShop(url)
    if (isBlocked) await blockWithBacklog(shop, backlog)
    return new MeasuredDrain(url)
  }

  async round(): Promise<void> {
    await enqueueOthers(this.#writer, others)
    expect(await drain(pgOutbox({ db: drizzle({ client: this.#pool }) }))).toBe(others)
  }

  /** clock ticks, 100 a second, in user and system mode; counted by Linux, on whatever else the machine was busy */
  async cpuTicks(): Promise<number> {
    const clients = await Promise.all(Array.from({ length: this.#pool.totalCount }, () => this.#pool.connect()))
    try {
      const ticks = clients.map(async (client) => {
        const { rows } = await client.query('select pg_backend_pid() as pid')
        const stat = await readFile(`/proc/${rows[0].pid}/stat`, 'utf8')
        // fields 14 and 15, counted from behind the name, which may hold spaces
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        return Number(fields[11]) + Number(fields[12])
      })
      return (await Promise.all(ticks)).reduce((sum, each) => sum + each)
    } finally {
      for (const client of clients) client.release()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end()
    await this.#writer[Symbol.asyncDispose]()
  }
}

describeWith({ own: 'postgres' }, 'an aggregate that is blocked with 100,000 entries behind it', () => {
  // on a shared server, transactions of other tests keep dead entries of the indexes alive, which are then read as well
  const startQuietServer = () => startPostgres({ settings: { autovacuum: 'off' } })

  test('makes the server read less than a tenth more for the others', { timeout: 600_000 }, async () => {
    await using server = await startQuietServer()
    const alone = await costOfOthers(server.url, false)
    const beside = await costOfOthers(server.url, true)
    process.stdout.write(`rows read to drain ${others} entries: ${alone} alone, ${beside} beside the blocked backlog\n`)
    expect(beside).toBeLessThan(alone * 1.1)
  })

  test.runIf(process.platform === 'linux')(
    'slows the others by less than a tenth, in CPU time of the server',
    { timeout: 900_000 },
    async () => {
      await using server = await startQuietServer()
      await using plain = await createDatabase(server.url)
      await using blocked = await createDatabase(server.url)
      await using alone = await MeasuredDrain.open(plain.url, false)
      await using beside = await MeasuredDrain.open(blocked.url, true)
      const both = [alone, beside]
      for (const each of both) await each.round() // plans and caches are warm from here on
      const ticks = both.map((): number[] => [])
      // by turns, so that what else the machine does falls on both
      for (let round = 0; round < rounds; round++) {
        for (const [index, each] of both.entries()) {
          const before = await each.cpuTicks()
          await each.round()
          ticks[index]?.push((await each.cpuTicks()) - before)
        }
      }
      const [plainTicks = 0, blockedTicks = 0] = ticks.map(cheaperHalf)
      process.stdout.write(
        `CPU of the server to drain ${(rounds / 2) * others} entries: ${plainTicks * 10} ms alone, ${blockedTicks * 10} ms beside the blocked backlog\n`,
      )
      expect(plainTicks).toBeGreaterThan(50)
      expect(blockedTicks).toBeLessThan(plainTicks * 1.1)
    },
  )
})

/** The sum of the lower half: what else a machine does only ever adds to a cost. */
function cheaperHalf(costs: readonly number[]): number {
  const sorted = costs.toSorted((a, b) => a - b)
  return sorted.slice(0, sorted.length / 2).reduce((sum, each) => sum + each, 0)
}
