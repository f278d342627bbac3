import { event } from '@outbox/core'
import { pgInbox, pgOutbox, setup, setupInbox } from '@outbox/drizzle/pg'
import { describeWith, type OwnServer, startPostgres, waitFor } from '@outbox/services'
import { expectHandledAgain } from '@outbox/services/delivery-outage'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openNodePostgres, openPostgresJs } from './pg-databases.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })

describeWith({ own: 'postgres' }, 'a server that dies and comes back', () => {
  let server: OwnServer
  beforeAll(async () => {
    server = await startPostgres()
    await using own = openNodePostgres(server.url)
    await setup(own.db)
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test.each([
    ['node-postgres', () => openNodePostgres(server.url)],
    ['postgres-js', () => openPostgresJs(server.url)],
  ])('%s: calls are unavailable meanwhile, and a subscription wakes again after it', async (_, open) => {
    await using own = open()
    const outbox = pgOutbox({ db: own.db })
    let wakes = 0
    const subscription = await outbox.subscribe(() => void wakes++)
    const before = await outbox.stats()
    await server.kill()
    await expect(outbox.stats()).rejects.toMatchObject({ code: 'unavailable', isRetryable: true })
    await expect(outbox.join({ holder: 'h' })).rejects.toMatchObject({ code: 'unavailable' })
    await server.restart()
    await waitFor(() => outbox.stats().catch(() => undefined), { what: 'the server to answer', timeoutMs: 120_000 })
    // another process notifies, so that this one hears it from the database alone
    await using other = openNodePostgres(server.url)
    const producer = pgOutbox({ db: other.db, notify: 'transaction' })
    const heard = async () => {
      const wakesBefore = wakes
      await other.db.transaction((tx) => producer.enqueue(tx, placed))
      return waitFor(() => wakes > wakesBefore, { what: 'a wake-up', timeoutMs: 500 }).catch(() => undefined)
    }
    await waitFor(heard, { what: 'the subscription to hear again', timeoutMs: 120_000 })
    expect((await outbox.stats()).pending).toBeGreaterThan(before.pending)
    await subscription[Symbol.asyncDispose]()
  })

  test('a message whose effect went down with the server is handled again, once', async () => {
    await using own = openNodePostgres(server.url)
    await setupInbox(own.db)
    const inbox = pgInbox({ db: own.db })
    await expectHandledAgain(server, inbox, (work) => own.db.transaction(work))
  })
})
