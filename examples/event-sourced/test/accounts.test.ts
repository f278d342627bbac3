import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { recordingPublisher } from '@outbox/memory'
import { createRelay } from '@outbox/relay'
import { describeWith, freshDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { expect, it } from 'vitest'
import { deposit, open } from '../src/account.ts'
import { Accounts } from '../src/accounts.ts'
import { createTables } from '../src/tables.ts'

describeWith('postgres', 'event-sourced accounts', () => {
  it('a decision that changes nothing records nothing', async () => {
    await using bank = await openBank()
    const opened = await bank.accounts.change('a', (account) => open(account, 100))
    expect(await bank.accounts.change('a', () => [])).toEqual(opened)
    expect((await bank.outbox.stats()).pending).toBe(1)
  })

  it('a writer that was slower decides again, also when the outbox has purged the version that is taken', async () => {
    await using bank = await openBank()
    const { accounts, outbox, conflicts } = bank
    await accounts.change('a', (account) => open(account, 100))
    let isFirst = true
    const changed = await accounts.change('a', async (account) => {
      if (isFirst) {
        isFirst = false
        await accounts.change('a', (other) => deposit(other, 1))
        await createRelay({ store: outbox, publisher: recordingPublisher() }).tick()
        expect(await outbox.purge({ olderThanMs: 0, limit: 100 })).toBe(2)
      }
      return deposit(account, 7)
    })
    expect(changed).toEqual({ version: 3, balanceCents: 108 })
    expect(conflicts).toEqual([2])
    expect(await accounts.load('a')).toEqual(changed)
  })

  it('of many writers at once each is recorded, or told that it was beaten five times', async () => {
    await using bank = await openBank()
    await bank.accounts.change('a', (account) => open(account, 0))
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => bank.accounts.change('a', (account) => deposit(account, 1))),
    )
    const done = outcomes.filter(({ status }) => status === 'fulfilled').length
    expect(done).toBeGreaterThanOrEqual(5)
    expect(await bank.accounts.load('a')).toEqual({ version: 1 + done, balanceCents: done })
    expect((await bank.outbox.stats()).pending).toBe(1 + done)
  })
})

async function openBank() {
  await using opening = new AsyncDisposableStack()
  const database = opening.use(await freshDatabase())
  const pool = new Pool({ connectionString: database.url })
  pool.on('error', () => {})
  opening.defer(() => pool.end())
  const db = drizzle({ client: pool })
  await setup(db)
  await createTables(db)
  const outbox = pgOutbox({ db })
  const conflicts: number[] = []
  const accounts = new Accounts({ db, outbox, onConflict: (version) => conflicts.push(version) })
  const open = opening.move()
  return { accounts, outbox, conflicts, [Symbol.asyncDispose]: () => open.disposeAsync() }
}
