import { readFile } from 'node:fs/promises'
import type { OutboxError } from '@outbox/core'
import { type MysqlInbox, type MysqlOutbox, mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { setupRequired } from './mysql-catalog.ts'
import { emptied, type Opened, openMysql, ownDatabase, servers, type TestDb } from './mysql-databases.ts'

/** What each kind of process does in its life, and nothing else. */
interface Process {
  readonly db: TestDb
  readonly outbox: MysqlOutbox
  readonly inbox: MysqlInbox
}

const kinds = ['producer', 'relay', 'operator', 'consumer'] as const
type Kind = (typeof kinds)[number]

const placed = (aggregateId: string, sequence?: number) => ({
  type: sequence === undefined ? 'order.placed' : 'account.opened',
  aggregateId,
  payload: {},
  ...(sequence !== undefined && { sequence }),
})

const lives: Readonly<Record<Kind, (process: Process) => Promise<void>>> = {
  async producer({ db, outbox }) {
    const id = crypto.randomUUID()
    const write = () => db.transaction((tx) => outbox.enqueue(tx, [{ ...placed('1'), id }, placed('2')]))
    expect((await write()).map(({ duplicate }) => duplicate)).toEqual([false, false])
    expect((await write()).map(({ duplicate }) => duplicate)).toEqual([true, false])
    await db.transaction((tx) => outbox.enqueue(tx, placed('a', 7)))
    const conflict = db.transaction((tx) => outbox.enqueue(tx, placed('a', 7)))
    await expect(conflict).rejects.toMatchObject({ code: 'sequence-conflict' })
  },
  async relay({ outbox }) {
    await outbox.check()
    await outbox.join({ holder: 'h' })
    const { leases: claims } = await outbox.poll({ holder: 'h' })
    const leases = await outbox.acquire({ holder: 'h', claims, evict: [{ holder: 'gone', beat: 0 }] })
    const due = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 1, maxBytes: 1000 })
    const [first, second, third] = due
    if (!first || !second || !third) throw new Error('Three aggregates were to be due.')
    const settlements = [
      { entry: first, outcome: 'published' },
      { entry: second, outcome: 'dead', reason: 'poison', blocksAggregate: true },
      { entry: third, outcome: 'retry', retryInMs: 0, isRefusal: true, reason: 'once' },
    ] as const
    expect(await outbox.settle({ leases, settlements })).toEqual({ lost: [] })
    const again = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
    await outbox.settle({ leases, settlements: again.map((entry) => ({ entry, outcome: 'published' })) })
    expect((await outbox.stats()).dead).toBe(3)
    await outbox.release({ holder: 'h', leases, leave: true })
    expect(await outbox.purge({ olderThanMs: 0, limit: 10 })).toBeGreaterThan(0)
    await outbox.markPublished((await outbox.fetchUnpublished(10)).map(({ id }) => id))
  },
  async operator({ outbox }) {
    const dead = await outbox.deadLetters.list({ limit: 10, where: { eventType: 'order.placed' } })
    expect(dead).toHaveLength(2)
    expect(await outbox.deadLetters.requeue([dead[0]?.entry.id ?? ''])).toBe(1)
    expect(await outbox.deadLetters.discard([dead[1]?.entry.id ?? ''])).toBe(1)
    expect(await outbox.stats()).toMatchObject({ dead: 0 })
  },
  async consumer({ db, inbox }) {
    await inbox.check()
    const deliver = () => db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined))
    expect([await deliver(), await deliver()]).toEqual([true, false])
    expect(await inbox.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
  },
}

for (const [title, server] of servers) {
  describeWith(server, `least privileges on ${title}`, () => {
    let database: TestDatabase
    let owner: Opened<TestDb>
    let ownOutbox: MysqlOutbox
    beforeAll(async () => {
      database = await ownDatabase(server)
      owner = openMysql(database.url)
      await setup(owner.db)
      await setupInbox(owner.db)
      ownOutbox = mysqlOutbox({ db: owner.db })
    })
    afterAll(async () => {
      await owner[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    })
    /** Something for everybody to work on: three aggregates, two dead letters. */
    beforeEach(async () => {
      await emptied(owner.pool)
      await owner.pool.query('delete from outbox_inbox')
      await owner.db.transaction((tx) =>
        ownOutbox.enqueue(
          tx,
          ['d', 'e', 'x', 'y', 'z'].map((id) => placed(id)),
        ),
      )
      await ownOutbox.join({ holder: 'owner' })
      const { leases: claims } = await ownOutbox.poll({ holder: 'owner' })
      const leases = await ownOutbox.acquire({ holder: 'owner', claims, evict: [] })
      const due = await ownOutbox.fetch({ leases, limit: 10, limitPerAggregate: 1, maxBytes: 1000 })
      const dead = due.filter(({ aggregateId }) => 'de'.includes(aggregateId))
      await ownOutbox.settle({
        leases,
        settlements: dead.map((entry) => ({ entry, outcome: 'dead', reason: 'poison', blocksAggregate: true })),
      })
      await ownOutbox.release({ holder: 'owner', leases, leave: true })
    })

    describe.each(kinds)('a %s', (kind) => {
      test('lives with the grants of the README', async () => {
        await using user = await userWith(await grantsFor(kind))
        await lives[kind](user)
      })

      test('needs each of them', async () => {
        const grants = await grantsFor(kind)
        for (const grant of grants) {
          await using user = await userWith(grants.filter((other) => other !== grant))
          const error: OutboxError<'setup-required'> = await setupRequired(lives[kind](user))
          expect(error.message).toContain('README')
          expect(error.details.missing.join()).toContain(/on (\w+) to/.exec(grant)?.[1])
        }
      })
    })

    /** A user who may log in, with these grants. Disposing takes it away. */
    async function userWith(grants: readonly string[]): Promise<Process & AsyncDisposable> {
      const name = `u${crypto.randomUUID().slice(0, 8)}`
      await owner.pool.query(`create user '${name}'@'%'`)
      // so that it may connect to the database at all
      await owner.pool.query(`grant create temporary tables on ${database.name}.* to '${name}'@'%'`)
      for (const grant of grants) await owner.pool.query(grant.replace(/'outbox_\w+'/, `'${name}'`))
      const url = new URL(database.url)
      url.username = name
      const { db, ...opened } = openMysql(url.href)
      return {
        db,
        outbox: mysqlOutbox({ db }),
        inbox: mysqlInbox({ db }),
        async [Symbol.asyncDispose]() {
          await opened[Symbol.asyncDispose]()
          await owner.pool.query(`drop user '${name}'@'%'`)
        },
      }
    }
  })
}

/** The grants for one kind of process, word for word from the README. */
async function grantsFor(kind: Kind): Promise<readonly string[]> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const blocks = [...readme.matchAll(/```sql\n(.*?)```/gs)].map(([, text]) => text ?? '')
  const block = blocks.find((text) => text.includes(` to 'outbox_${kind}'@'%';`))
  if (block === undefined) throw new Error(`The README has no grants for outbox_${kind} on MySQL.`)
  return block
    .replaceAll(/^--.*\n/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
