import { emptyLog, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openNodePostgres, ownDatabase } from './pg-databases.ts'
import { handRelay, openLog, places, published, refused } from './pg-log-relay.ts'

const order = (aggregateId: string, id?: string) => ({
  ...{ type: 'order.placed', aggregateId, payload: {} },
  ...(id === undefined ? {} : { id }),
})
const account = (aggregateId: string, sequence: number) => ({ ...order(aggregateId), type: 'account.moved', sequence })
const everything = { olderThanMs: 0, limit: 1000 }

describeWith('postgres', 'the leaves of a log', () => {
  let database: TestDatabase
  let log: Awaited<ReturnType<typeof openLog>>

  beforeAll(async () => {
    database = await ownDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())
  beforeEach(async () => {
    log = await openLog(database.url, { schema: `check ${crypto.randomUUID()}` })
    await commit(order('first'), account('first', 1))
    const relay = await handRelay(log.outbox)
    await relay.drain()
    await relay.leave()
  })
  afterEach(() => log[Symbol.asyncDispose]())

  const commit = (...events: ReturnType<typeof order>[]) => log.db.transaction((tx) => log.outbox.enqueue(tx, events))
  const rowsInLeaves = async () => {
    const { rows } = await log.db.$client.query(
      `select tableoid::regclass::text as leaf, count(*)::int as count from "${log.schema}".outbox_log group by 1 order by 1`,
    )
    return rows.map(({ count }) => count)
  }

  test('a leaf is truncated whole, and the next one takes what comes', async () => {
    await commit(order('a'))
    const relay = await handRelay(log.outbox)
    await relay.drain()
    expect(await log.outbox.purge(everything)).toBe(3)
    expect(await rowsInLeaves()).toEqual([])
    await commit(order('a'))
    expect(await rowsInLeaves()).toEqual([1])
    expect(places(await relay.drain())).toEqual(['a#2'])
  })

  test('what was passed a shorter time ago than asked stays, however old it is', async () => {
    expect(await log.outbox.purge({ olderThanMs: 60_000, limit: 1000 })).toBe(0)
    expect(await rowsInLeaves()).toEqual([2])
  })

  test('an open transaction that has enqueued keeps its leaf, and nobody waits long', async () => {
    let release: () => void = () => undefined
    const isReleased = new Promise<void>((resolve) => {
      release = resolve
    })
    let isOpen: () => void = () => undefined
    const opened = new Promise<void>((resolve) => {
      isOpen = resolve
    })
    const long = log.db.transaction(async (tx) => {
      await log.outbox.enqueue(tx, order('long'))
      isOpen()
      await isReleased
    })
    await opened
    expect(await log.outbox.purge(everything)).toBe(0)
    await commit(order('short'))
    release()
    await long
    expect(await (await handRelay(log.outbox)).drain()).toHaveLength(2)
    expect(await log.outbox.purge(everything)).toBe(4)
  })

  test('the few entries that hold a leaf go aside; those in hand keep it', async () => {
    const relay = await handRelay(log.outbox)
    await commit(order('a'), order('b'))
    const lent = await relay.fetch()
    expect(await log.outbox.purge(everything)).toBe(0)
    await relay.settle([])
    expect(await log.outbox.purge(everything)).toBe(2)
    expect(await rowsInLeaves()).toEqual([])
    expect(await relay.settle(lent.map(published))).toEqual([])
    expect(await relay.drain()).toEqual([])
    expect(await log.outbox.purge(everything)).toBe(2)
  })

  test('an id and a number are known in whatever leaf they stand, and aside', async () => {
    const ids = [crypto.randomUUID(), crypto.randomUUID()]
    await commit(...ids.map((id) => order('a', id)), account('x', 5))
    const relay = await handRelay(log.outbox)
    const lent = await relay.fetch()
    await relay.settle(lent.map((entry) => (entry.id === ids[1] ? refused(entry, 1e9) : published(entry))))
    await log.db.$client.query(
      `select setval('"${log.schema}".outbox_log_slot', pg_current_xact_id()::text::bigint * 4 + 1)`,
    )
    expect(await commit(...ids.map((id) => order('a', id)))).toMatchObject([{ duplicate: true }, { duplicate: true }])
    await expect(commit(account('x', 5))).rejects.toMatchObject({ code: 'sequence-conflict', details: { sequence: 5 } })
    expect(await rowsInLeaves()).toEqual([5])
  })

  test('a number that is taken is told under the longest prefix too, and which one it is', async () => {
    const place = { schema: log.schema, prefix: `${'p'.repeat(31)}_` }
    await setup(log.db, { engine: 'log', ...place })
    const outbox = pgOutbox({ db: log.db, engine: 'log', notify: 'off', ...place })
    const enqueue = (event: ReturnType<typeof order>) => log.db.transaction((tx) => outbox.enqueue(tx, event))
    await enqueue(account('x', 5))
    await expect(enqueue(account('x', 5))).rejects.toMatchObject({
      code: 'sequence-conflict',
      details: { sequence: 5 },
    })
    await enqueue(order('a, b'))
    // counters that came back from an older backup
    await log.db.$client.query(`truncate "${log.schema}".${place.prefix}sequences`)
    await expect(enqueue(order('a, b'))).rejects.toMatchObject({
      code: 'sequence-conflict',
      details: { aggregateType: 'order', aggregateId: 'a, b', sequence: 1 },
    })
  })

  test('of two open transactions with one number of an aggregate, the second is told once the first has committed', async () => {
    const first = await log.db.$client.connect()
    const held = commitLater(account('x', 7))
    await held.enqueued
    const second = commit(account('x', 7))
    held.commit()
    await held.done
    await expect(second).rejects.toMatchObject({
      code: 'sequence-conflict',
      details: { aggregateId: 'x', sequence: 7 },
    })
    first.release()
  })

  test('a snapshot that is older than the leaf is told to run again: it does not know what the one before holds', async () => {
    // numbered by the caller: no counter's row tells of the conflict
    const event = { ...account('z', 1), id: crypto.randomUUID() }
    const stale = log.db.transaction(
      async (tx) => {
        await tx.execute('select 1')
        await commit(event)
        await log.db.$client.query(
          `select setval('"${log.schema}".outbox_log_slot', pg_current_xact_id()::text::bigint * 4 + 1)`,
        )
        await log.outbox.enqueue(tx, event)
      },
      { isolationLevel: 'repeatable read' },
    )
    await expect(stale).rejects.toMatchObject({ code: 'busy' })
    expect(await commit(event)).toMatchObject([{ duplicate: true }])
  })

  test.each([
    ['purge', 'an id'],
    ['purge', 'a number'],
    ['emptyLog', 'an id'],
    ['emptyLog', 'a number'],
  ])(
    'a snapshot that is older than what %s took out of a leaf is told to run again: it does not know %s',
    async (how, what) => {
      const event = { ...account('z', 1), id: crypto.randomUUID() }
      await commit(event)
      const sql = (text: string) => log.db.$client.query(text.replaceAll('~', `"${log.schema}".outbox_`))
      await sql(`select setval('~log_slot', pg_current_xact_id()::text::bigint * 4 + 1)`)
      const stale = log.db.transaction(
        async (tx) => {
          await tx.execute('select 1')
          if (how === 'purge') await log.outbox.purge(everything)
          else await emptyLog(log.db, { schema: log.schema ?? '' })
          expect((await sql('select from ~log')).rows).toEqual([])
          await log.outbox.enqueue(tx, what === 'an id' ? event : account('z', 1))
        },
        { isolationLevel: 'repeatable read' },
      )
      await expect(stale).rejects.toMatchObject({ code: 'busy' })
      expect(await commit(event)).toMatchObject([{ duplicate: true }])
    },
  )

  test('a vacuum of a leaf, however long it takes, keeps no other from taking what comes', async () => {
    const slot = async () =>
      (await log.db.$client.query(`select last_value % 4 as slot from "${log.schema}".outbox_log_slot`)).rows[0].slot
    const vacuum = await log.db.$client.connect()
    await vacuum.query(`begin; lock table "${log.schema}".outbox_log_0 in share update exclusive mode`)
    expect(await slot()).toBe('0')
    await log.outbox.purge(everything)
    expect(await slot()).toBe('1')
    await vacuum.query('commit')
    vacuum.release()
    expect(await log.outbox.purge(everything)).toBe(2)
  })

  test('a leaf that is too young to go is not read', async () => {
    await commit(...Array.from({ length: 2000 }, (_, n) => order(`o-${n}`)))
    await (await handRelay(log.outbox)).drain()
    const sql = (text: string) => log.db.$client.query(text.replaceAll('~', `"${log.schema}".outbox_`))
    await sql(`select setval('~log_slot', pg_current_xact_id()::text::bigint * 4 + 1)`)
    const read = async (name: string) => {
      const text = 'select seq_tup_read::int as rows from pg_stat_user_tables where schemaname = $1 and relname = $2'
      return (await log.db.$client.query(text, [log.schema, `outbox_${name}`])).rows[0].rows
    }
    await sql('create table ~sentinel as select 1 as n')
    const before = await read('log_0')
    await using own = openNodePostgres(database.url, { max: 1 })
    const purging = pgOutbox({
      db: drizzle({ client: own.db.$client }),
      engine: 'log',
      notify: 'off',
      schema: log.schema ?? '',
    })
    for (let n = 0; n < 3; n++) expect(await purging.purge({ olderThanMs: 60_000, limit: 10 })).toBe(0)
    await own.db.$client.query(`select * from "${log.schema}".outbox_sentinel`)
    await own.db.$client.query('select pg_sleep(1.1)')
    await own.db.$client.query('select 1')
    await waitFor(async () => (await read('sentinel')) > 0, { what: 'the statistics' })
    expect((await read('log_0')) - before).toBeLessThan(1000)
    expect(await log.outbox.purge(everything)).toBe(2002)
  })

  test('what has ended aside, and stays for the log that it still stands in, hides nothing behind it', async () => {
    await commit(...Array.from({ length: 2500 }, (_, n) => order(`o-${n}`)))
    const relay = await handRelay(log.outbox)
    const settle = async () => relay.settle((await relay.fetch({ limit: 5000 })).map((entry) => refused(entry)))
    await settle()
    await relay.drain({ limit: 5000 })
    const sql = (text: string) => log.db.$client.query(text.replaceAll('~', `"${log.schema}".outbox_`))
    // all at one time, as one statement writes them
    await sql(`update ~entries set settled_at = now() - interval '1 hour'`)
    await sql(`insert into ~entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, payload, state, settled_at)
      select gen_random_uuid(), 1, 'order', 'later', 'x', n, '{}', 'published', now() - interval '59 minutes'
      from generate_series(1, 20) n`)
    const young = { olderThanMs: 60_000 }
    expect(await log.outbox.purge({ ...young, limit: 5 })).toBe(5)
    expect(await log.outbox.purge({ ...young, limit: 3000 })).toBe(15)
    expect(await log.outbox.purge({ ...young, limit: Number.POSITIVE_INFINITY })).toBe(0)
  })

  test('leaf after leaf under producers and two relays, everything is lent once, in order', {
    timeout: 300_000,
  }, async () => {
    const relays = [await handRelay(log.outbox, { to: 31 }), await handRelay(log.outbox, { from: 32 })]
    let isWriting = true
    const writers = Array.from({ length: 3 }, async (_, writer) => {
      for (let n = 0; n < 60; n++) await commit(order(`w-${writer}-${n % 3}`), order(`shared-${n % 2}`))
    })
    const done = Promise.all(writers).finally(() => {
      isWriting = false
    })
    const lent = new Map<string, number[]>()
    const drained = relays.map(async (relay) => {
      for (let wasWriting = true; wasWriting; ) {
        wasWriting = isWriting
        for (const { aggregateId, sequence } of await relay.drain({ limit: 40 })) {
          lent.set(aggregateId, [...(lent.get(aggregateId) ?? []), sequence])
        }
      }
    })
    let purged = 0
    let purges = 0
    while (isWriting) {
      purged += await log.outbox.purge(everything)
      purges += 1
    }
    await done
    await Promise.all(drained)
    for (const [id, sequences] of lent) {
      expect(sequences, id).toEqual(Array.from({ length: sequences.length }, (_, index) => index + 1))
    }
    expect([...lent.values()].flat()).toHaveLength(3 * 60 * 2)
    expect(purges).toBeGreaterThan(1)
    for (let count = 1; count > 0; purged += count) count = await log.outbox.purge(everything)
    expect(purged).toBe(3 * 60 * 2 + 2)
  })

  /** A transaction that enqueues, and commits when it is told to. */
  function commitLater(event: ReturnType<typeof account>) {
    let isEnqueued: () => void = () => undefined
    let commitNow: () => void = () => undefined
    const enqueued = new Promise<void>((resolve) => {
      isEnqueued = resolve
    })
    const told = new Promise<void>((resolve) => {
      commitNow = resolve
    })
    const outbox = pgOutbox({ db: log.db, engine: 'log', notify: 'off', schema: log.schema ?? '' })
    const done = log.db.transaction(async (tx) => {
      await outbox.enqueue(tx, event)
      isEnqueued()
      await told
    })
    return { enqueued, commit: commitNow, done }
  }
})
