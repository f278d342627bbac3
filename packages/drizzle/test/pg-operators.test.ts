import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { openNodePostgres, ownDatabase, sessionsWaiting } from './pg-databases.ts'

describeWith('postgres', 'operators of one outbox', () => {
  test('one requeues what another discards, from the other end: they wait for each other in one order', async () => {
    await using database = await ownDatabase()
    await using own = openNodePostgres(database.url)
    await setup(own.db)
    const { deadLetters } = pgOutbox({ db: own.db, notify: 'off' })
    const { rows } = await own.db.$client.query<{ id: string }>(`
      insert into outbox_entries
        (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state, settled_at, settled_by, reason)
      select gen_random_uuid(), 1, 'order', n::text, 'order.placed', 1, '{}', 'dead', now(), 'relay', 'poison'
      from generate_series(1, 20) n returning id`)
    const ids = rows.map(({ id }) => id)

    const holding = await own.db.$client.connect()
    await holding.query('begin')
    await holding.query('select from outbox_entries where id = $1 for update', [ids.toSorted()[10]])
    const requeued = deadLetters.requeue(ids.toSorted())
    await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the one to wait' })
    const discarded = deadLetters.discard(ids.toSorted().toReversed())
    await waitFor(async () => (await sessionsWaiting(database)) === 2, { what: 'the other to wait' })
    await holding.query('commit')
    holding.release()
    expect([await requeued, await discarded]).toEqual([20, 0])
  })
})
