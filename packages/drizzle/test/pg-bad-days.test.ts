import { event, OutboxError } from '@outbox/core'
import { pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import {
  describeWith,
  type OwnServer,
  startPostgres,
  startPostgresStandby,
  type TestDatabase,
  waitFor,
} from '@outbox/services'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openNodePostgres, openPostgresJs, ownDatabase } from './pg-databases.ts'
import { run } from './pg-roles.ts'

const placed = event('order.placed', { aggregateId: '1', payload: { secret: 'payload' } })

describeWith('postgres', 'bad days', () => {
  let database: TestDatabase
  beforeEach(async () => {
    database = await ownDatabase()
    await using own = openNodePostgres(database.url)
    await setup(own.db)
    await setupInbox(own.db)
  })
  afterEach(() => database[Symbol.asyncDispose]())

  describe.each([
    ['node-postgres', openNodePostgres],
    ['postgres-js', openPostgresJs],
  ])('%s', (_, open) => {
    test('sessions that may only read: whatever writes is unavailable and says why, what reads works', async () => {
      await setForAll('default_transaction_read_only', 'on')
      await using own = open(database.url)
      const [outbox, inbox] = [pgOutbox({ db: own.db, notify: 'off' }), pgInbox({ db: own.db })]
      await outbox.check()
      await inbox.check()
      expect(await outbox.stats()).toMatchObject({ pending: 0 })
      for (const attempt of [
        () => own.db.transaction((tx) => outbox.enqueue(tx, placed)),
        () => own.db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined)),
        () => outbox.join({ holder: 'h' }),
        () => outbox.poll({ holder: 'h' }),
        () => outbox.purge({ olderThanMs: 0, limit: 10 }),
        () => inbox.purge({ olderThanMs: 0, limit: 10 }),
        () => outbox.deadLetters.requeue([placed.id ?? '']),
      ]) {
        const error = await failureOf(attempt())
        expect(error).toMatchObject({ code: 'unavailable', isRetryable: true })
        expect(error.message).toContain('read-only')
        expect(error.message).toContain('Connect to the primary')
      }
    })

    test.each([
      ['statement_timeout', 'canceling statement due to statement timeout'],
      ['lock_timeout', 'canceling statement due to lock timeout'],
    ])('%s strikes whoever waits too long: busy, by name', async (setting, words) => {
      await using patient = openNodePostgres(database.url)
      await pgOutbox({ db: patient.db }).join({ holder: 'h' })
      const blocker = new Client({ connectionString: database.url })
      await blocker.connect()
      await blocker.query('begin; lock table outbox_leases, outbox_meta, outbox_inbox in exclusive mode')
      await setForAll(setting, '50ms')
      await using own = open(database.url)
      const [outbox, inbox] = [pgOutbox({ db: own.db, notify: 'off' }), pgInbox({ db: own.db })]
      const lease = { partition: 0, epoch: 1, holder: 'h' }
      for (const attempt of [
        () => own.db.transaction((tx) => outbox.enqueue(tx, placed)),
        () => own.db.transaction((tx) => inbox.once(tx, 'billing', 'm-1', () => undefined)),
        () => outbox.settle({ leases: [lease], settlements: [] }),
        () => outbox.fetch({ leases: [lease], limit: 1, limitPerAggregate: 1, maxBytes: 1 }),
      ]) {
        const error = await failureOf(attempt())
        expect(error).toMatchObject({ code: 'busy', isRetryable: true })
        expect(error.message).toContain(words)
      }
      await blocker.end()
    })
  })

  test('a transaction that idles too long loses its connection: unavailable, and nothing is written', async () => {
    await setForAll('idle_in_transaction_session_timeout', '50ms')
    await using own = openNodePostgres(database.url)
    const outbox = pgOutbox({ db: own.db, notify: 'off' })
    let failure: OutboxError | undefined
    const attempt = own.db.transaction(async (tx) => {
      await tx.execute('select 1')
      await waitFor(async () => (await idleInTransaction()) === 0, { what: 'the server to end the session' })
      failure = await failureOf(outbox.enqueue(tx, placed))
    })
    await expect(attempt).rejects.toThrow()
    expect(failure).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(await outbox.stats()).toMatchObject({ pending: 0 })
  })

  /** For all sessions that begin from now on. */
  async function setForAll(setting: string, value: string): Promise<void> {
    await run(database.url, `alter database ${database.name} set ${setting} = '${value}'`)
  }

  async function idleInTransaction(): Promise<number> {
    const client = new Client({ connectionString: database.url })
    await client.connect()
    const text = `select count(*)::int as count from pg_stat_activity where datname = $1 and state = 'idle in transaction'`
    const { rows } = await client.query(text, [database.name])
    await client.end()
    return rows[0].count
  }
})

describeWith({ own: 'postgres' }, 'a fail-over', () => {
  let primary: OwnServer
  let standby: OwnServer
  beforeEach(async () => {
    primary = await startPostgres()
    standby = await startPostgresStandby(primary)
  })
  afterEach(async () => {
    await standby[Symbol.asyncDispose]()
    await primary[Symbol.asyncDispose]()
  })

  test('a relay on a standby is unavailable until that is promoted, and then finds what was committed', async () => {
    await using before = openNodePostgres(primary.url)
    await setup(before.db)
    const producer = pgOutbox({ db: before.db, notify: 'off' })
    await before.db.transaction((tx) => producer.enqueue(tx, placed))
    await using after = openNodePostgres(standby.url)
    const outbox = pgOutbox({ db: after.db, notify: 'off' })
    await waitFor(async () => (await outbox.fetchUnpublished(10).catch(() => [])).length === 1, {
      what: 'the standby to have followed',
    })
    await outbox.check()
    const error = await failureOf(outbox.join({ holder: 'h' }))
    expect(error).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(error.message).toContain('a standby')
    const enqueued = after.db.transaction((tx) => outbox.enqueue(tx, placed))
    expect(await failureOf(enqueued)).toMatchObject({ code: 'unavailable' })

    await primary.kill()
    await run(standby.url, 'select pg_promote()')
    await outbox.join({ holder: 'h' })
    const { leases: claims } = await outbox.poll({ holder: 'h' })
    const leases = await outbox.acquire({ holder: 'h', claims, evict: [] })
    const due = await outbox.fetch({ leases, limit: 10, limitPerAggregate: 10, maxBytes: 1000 })
    expect(due).toMatchObject([{ aggregateId: '1', sequence: 1 }])
  })
})

async function failureOf(attempt: Promise<unknown>): Promise<OutboxError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (OutboxError.is(error)) return error
  throw new Error('Expected an OutboxError', { cause: error })
}
