import type { OutboxError } from '@outbox/core'
import { type PgInbox, type PgOutbox, pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { setupRequired } from './pg-catalog.ts'
import { type Opened, openNodePostgres, ownDatabase } from './pg-databases.ts'
import { createRole, grantsFor, type Kind, run, type TestRole } from './pg-roles.ts'

type Database = ReturnType<typeof openNodePostgres>['db']

/** What each kind of process does in its life, and nothing else. */
interface Process {
  readonly db: Database
  readonly outbox: PgOutbox
  readonly inbox: PgInbox
}

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
    const notifying = pgOutbox({ db, notify: 'transaction' })
    await db.transaction((tx) => notifying.enqueue(tx, placed('a', 7)))
    const conflict = db.transaction((tx) => notifying.enqueue(tx, placed('a', 7)))
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
    expect((await outbox.stats()).dead).toBe(1)
    await using _subscription = await outbox.subscribe(() => undefined)
    await outbox.release({ holder: 'h', leases, leave: true })
    expect(await outbox.purge({ olderThanMs: 0, limit: 10 })).toBeGreaterThan(0)
    await outbox.markPublished((await outbox.fetchUnpublished(10)).map(({ id }) => id))
  },
  async operator({ outbox }) {
    const [first, second, ...others] = await outbox.deadLetters.list({
      limit: 10,
      where: { eventType: 'order.placed' },
    })
    expect(others).toEqual([])
    expect(await outbox.deadLetters.requeue([first?.entry.id ?? ''])).toBe(1)
    expect(await outbox.deadLetters.discard([second?.entry.id ?? ''])).toBe(1)
    expect(await outbox.stats()).toMatchObject({ dead: 0 })
  },
  async consumer({ db, inbox }) {
    await inbox.check()
    const deliver = () => db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined))
    expect([await deliver(), await deliver()]).toEqual([true, false])
    expect(await inbox.purge({ olderThanMs: 0, limit: 10 })).toBe(1)
  },
}

describeWith('postgres', 'least privileges', () => {
  let database: TestDatabase
  let owner: Opened<Database>
  let ownOutbox: PgOutbox
  beforeEach(async () => {
    database = await ownDatabase()
    owner = openNodePostgres(database.url)
    await setup(owner.db)
    await setupInbox(owner.db)
    // which PostgreSQL gives to everybody, and a careful administrator takes away
    await run(database.url, 'revoke usage on schema public from public')
    ownOutbox = pgOutbox({ db: owner.db, notify: 'off' })
  })
  afterEach(async () => {
    await owner[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  /** What there must be before the life begins. */
  const before: Readonly<Partial<Record<Kind, () => Promise<void>>>> = {
    relay: async () => {
      const batch = [placed('1'), placed('2'), placed('3')]
      await owner.db.transaction((tx) => ownOutbox.enqueue(tx, [...batch, ...batch]))
    },
    operator: async () => {
      await owner.db.transaction((tx) => ownOutbox.enqueue(tx, [placed('1'), placed('2')]))
      await ownOutbox.join({ holder: 'h' })
      const { leases: claims } = await ownOutbox.poll({ holder: 'h' })
      const leases = await ownOutbox.acquire({ holder: 'h', claims, evict: [] })
      const due = await ownOutbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
      const dead = { outcome: 'dead', reason: 'poison', blocksAggregate: true } as const
      await ownOutbox.settle({ leases, settlements: due.map((entry) => ({ entry, ...dead })) })
    },
  }

  describe.each(['producer', 'relay', 'operator', 'consumer'] as const)('a %s', (kind) => {
    let role: TestRole
    let grants: readonly string[]
    beforeEach(async () => {
      role = await createRole(database, kind)
      grants = await grantsFor(kind, role.name)
      await before[kind]?.()
    })
    afterEach(() => role[Symbol.asyncDispose]())

    test('lives its whole life on the grants of the README', async () => {
      await run(database.url, grants.join(';'))
      await asRole(lives[kind])
    })

    test('cannot live without any one of them, and is told what is missing', async () => {
      expect(grants.length).toBeGreaterThan(1)
      for (const left of grants) {
        await run(database.url, `drop owned by ${role.name}`)
        await run(database.url, grants.filter((grant) => grant !== left).join(';'))
        const error = await setupRequired(asRole(lives[kind]))
        expect(toldOf(error), left).toMatch(tableOf(left))
      }
    })

    /** The process with a pool of its own, as the role. */
    async function asRole(life: (process: Process) => Promise<void>): Promise<void> {
      await using own = openNodePostgres(role.url)
      const { db } = own
      await life({ db, outbox: pgOutbox({ db, notify: 'off' }), inbox: pgInbox({ db }) })
    }
  })
})

function toldOf({ message, details }: OutboxError<'setup-required'>): string {
  return [...details.missing, message].join('\n')
}

/** A grant is missed by the name of its privilege and its table; one on a schema by the schema, or by the tables in it. */
function tableOf(grant: string): RegExp {
  const [, privileges, table] = /^grant (.*?)\son (outbox_\w+)/s.exec(grant) ?? []
  if (privileges === undefined || table === undefined) return /relation "outbox_\w+" does not exist|grant usage on that/
  const names = privileges.match(/select|insert|update|delete/g) ?? []
  return new RegExp(`(${names.join('|')}).*\\bon "?${table}`, 'is')
}
