import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { OutboxError } from '@outbox/core'
import { pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { describeWith, type OwnServer, startPostgres } from '@outbox/services'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openNodePostgres, openPostgresJs } from './pg-databases.ts'
import { run } from './pg-roles.ts'

const password = 'correct-horse-battery'
const wrongPassword = 'staple-of-secrets'
const payload = { card: '4111-1111-1111-1111' }

describeWith({ own: 'postgres' }, 'errors hold no secret', () => {
  let server: OwnServer
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'outbox-hba-'))
    await chmod(folder, 0o755)
    const rules = join(folder, 'pg_hba.conf')
    await writeFile(rules, 'host all postgres all trust\nhost all all all scram-sha-256\n')
    server = await startPostgres({ settings: { hba_file: rules } })
    await run(server.url, `create role app login password '${password}'`)
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  describe.each([
    ['node-postgres', openNodePostgres],
    ['postgres-js', openPostgresJs],
  ])('%s', (_, open) => {
    test.each([
      ['a wrong password', { password: wrongPassword }, 'setup-required', 'password authentication failed'],
      ['no password', { password: '' }, 'setup-required', 'password'],
      ['a role that is not there', { username: 'nobody_here' }, 'setup-required', 'nobody_here'],
      ['a database that is not there', { pathname: '/not_there' }, 'setup-required', 'not_there'],
      ['a wrong host', { hostname: 'db.invalid' }, 'unavailable', 'db.invalid'],
      ['a wrong port', { port: '1' }, 'unavailable', 'ECONNREFUSED'],
    ] as const)('%s', async (_, wrong, code, words) => {
      const url = new URL(server.url)
      Object.assign(url, { username: 'app', password, ...wrong })
      await using own = open(url.href)
      const [outbox, inbox] = [pgOutbox({ db: own.db, listen: false }), pgInbox({ db: own.db })]
      for (const attempt of [
        () => outbox.check(),
        () => outbox.join({ holder: 'h' }),
        () => outbox.stats(),
        () => inbox.check(),
        () => inbox.purge({ olderThanMs: 0, limit: 1 }),
        () => setup(own.db),
        () => setupInbox(own.db),
      ]) {
        const error: unknown = await attempt().catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code })
        expect(String(error)).toContain(words)
        expectNoSecret(error)
      }
    })

    test('a payload that the database refuses is in no error, nor in what caused it', async () => {
      await run(server.url, 'drop schema public cascade; create schema public')
      await using own = open(server.url)
      await setup(own.db)
      const outbox = pgOutbox({ db: own.db, notify: 'off' })
      const enqueue = () =>
        own.db.transaction((tx) => outbox.enqueue(tx, { type: 'card.used', aggregateId: '1', sequence: 1, payload }))
      await run(
        server.url,
        "alter table outbox_entries add constraint no_cards check (payload::text not like '%4111%')",
      )
      expectNoSecret(await enqueue().catch((thrown: unknown) => thrown))
      await run(server.url, 'alter table outbox_entries drop constraint no_cards')
      await enqueue()
      const conflict: unknown = await enqueue().catch((thrown: unknown) => thrown)
      expect(OutboxError.is(conflict, 'sequence-conflict')).toBe(true)
      expectNoSecret(conflict)
      await run(server.url, 'drop table outbox_meta')
      const missing: unknown = await enqueue().catch((thrown: unknown) => thrown)
      expect(OutboxError.is(missing, 'setup-required')).toBe(true)
      expectNoSecret(missing)
    })
  })
})

test('a connection string that is none is not quoted', async () => {
  await using own = openNodePostgres(`postgres://app:${password}@127.0.0.1:no-port/db`)
  const error: unknown = await pgOutbox({ db: own.db })
    .stats()
    .catch((thrown: unknown) => thrown)
  expect(String(error)).toContain('Invalid URL')
  expectNoSecret(error)
})

/** Neither as it is logged, nor in anything that hangs on it. */
function expectNoSecret(error: unknown): void {
  expect(error).toBeInstanceOf(Error)
  const everything = inspect(error, { depth: 10, showHidden: true, maxStringLength: null }) + JSON.stringify(error)
  for (const secret of [password, wrongPassword, payload.card]) expect(everything).not.toContain(secret)
}
