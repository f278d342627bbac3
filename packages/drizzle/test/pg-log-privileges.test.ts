import { readFile } from 'node:fs/promises'
import { emptyLog, pgOutbox } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase } from '@outbox/services'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { handRelay, openLog, published, refused } from './pg-log-relay.ts'
import { createRole, grantsFor, run } from './pg-roles.ts'

const order = (aggregateId: string) => ({ type: 'order.placed', aggregateId, payload: {} })
const account = (sequence: number) => ({ type: 'account.moved', aggregateId: 'a', sequence, payload: {} })

/** What the README grants on top for a log, `role` in the place of `outbox_<kind>`. */
async function logGrantsFor(kind: 'producer' | 'relay' | 'operator', role: string): Promise<readonly string[]> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, block = ''] = /```text\n(-- enqueues\n.*?)```/s.exec(readme) ?? []
  return block
    .replaceAll(/^--.*\n/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement.endsWith(` to outbox_${kind}`))
    .map((statement) => statement.replace(`outbox_${kind}`, role))
}

describeWith('postgres', 'roles that are allowed what the README grants for a log', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
    await using log = await openLog(database.url)
    await log.outbox.fetchUnpublished(1)
  })
  afterAll(() => database[Symbol.asyncDispose]())

  test('a producer enqueues, late sequences too; a relay does all that relays do, and purges; an operator counts', async () => {
    await using producer = await createRole(database, 'producer')
    await using relayRole = await createRole(database, 'relay')
    await using operator = await createRole(database, 'operator')
    for (const [kind, { name }] of [
      ['producer', producer],
      ['relay', relayRole],
      ['operator', operator],
    ] as const) {
      const [grants, onTop] = [await grantsFor(kind, name), await logGrantsFor(kind, name)]
      expect(onTop).not.toEqual([])
      for (const grant of [...grants, ...onTop]) await run(database.url, grant)
    }
    await using asProducer = openNodePostgres(producer.url)
    await using asRelay = openNodePostgres(relayRole.url)
    await using asOperator = openNodePostgres(operator.url)
    const producing = pgOutbox({ db: asProducer.db, engine: 'log', notify: 'off' })
    const relaying = pgOutbox({ db: asRelay.db, engine: 'log', notify: 'off' })
    const commit = (...events: Parameters<typeof producing.enqueue>[1][]) =>
      asProducer.db.transaction((tx) => producing.enqueue(tx, events.flat()))
    await commit(order('a'), order('b'), account(5))
    await commit(account(4))
    const again = { ...order('c'), id: '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111' }
    await commit(again)
    expect(await commit(again)).toMatchObject([{ duplicate: true }])
    await expect(commit(account(5))).rejects.toMatchObject({ code: 'sequence-conflict' })
    for (const table of ['outbox_log', 'outbox_entries']) {
      await expect(run(producer.url, `select payload from ${table}`)).rejects.toThrow('permission denied')
    }
    const operating = pgOutbox({ db: asOperator.db, engine: 'log', notify: 'off' })
    expect(await operating.stats()).toMatchObject({ pending: 5, dead: 0 })
    expect(await operating.deadLetters.list({ limit: 1 })).toEqual([])

    await relaying.check()
    const relay = await handRelay(relaying)
    const lent = await relay.fetch()
    await relay.settle(lent.map((entry) => (entry.aggregateId === 'b' ? refused(entry) : published(entry))))
    await relay.fetch()
    const heir = await handRelay(relaying, { evicts: true })
    await heir.drain()
    expect(await relaying.stats()).toMatchObject({ pending: 0, dead: 0 })
    await relaying.markPublished([])
    expect(await relaying.purge({ olderThanMs: 0, limit: 100 })).toBe(5)
    await heir.leave()

    await run(database.url, `revoke select on outbox_entries_position_seq from ${relayRole.name}`)
    await expect(relaying.check()).rejects.toMatchObject({
      code: 'setup-required',
      message: expect.stringContaining('privilege SELECT on the sequence outbox_entries_position_seq'),
    })
  })

  test('a server that keeps who it is to itself is used all the same', async () => {
    await run(database.url, 'revoke execute on function pg_control_system() from public')
    await using role = await createRole(database, 'relay')
    const grants = [...(await grantsFor('relay', role.name)), ...(await logGrantsFor('relay', role.name))]
    const withoutIt = grants.filter((grant) => !grant.includes('pg_control_system'))
    expect(withoutIt).toHaveLength(grants.length - 1)
    for (const grant of withoutIt) await run(database.url, grant)
    await using own = openNodePostgres(role.url)
    const relaying = pgOutbox({ db: own.db, engine: 'log', notify: 'off' })
    await relaying.check()
    const relay = await handRelay(relaying, { evicts: true })
    await relay.leave()
    // the owner may ask, and has noted the answer
    await using owner = openNodePostgres(database.url)
    await emptyLog(owner.db)
    await relaying.check()
    // what a server cannot have counted is told all the same
    await run(database.url, `update outbox_log_cursors set until = '9000000000:9000000000:'`)
    await expect(relaying.check()).rejects.toMatchObject({ message: expect.stringContaining('another server') })
    await run(database.url, 'grant execute on function pg_control_system() to public')
    await emptyLog(owner.db)
  })

  test('without them, the check names what is missing', async () => {
    await using role = await createRole(database, 'relay')
    for (const grant of await grantsFor('relay', role.name)) await run(database.url, grant)
    await using own = openNodePostgres(role.url)
    await expect(pgOutbox({ db: own.db, engine: 'log' }).check()).rejects.toMatchObject({
      code: 'setup-required',
      message: expect.stringMatching(/INSERT on "outbox_entries"(.|\n)*SELECT on "outbox_log"/),
    })
  })
})
