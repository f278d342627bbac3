import { event, partitionOf } from '@outbox/core'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, startTcpProxy, type TestDatabase, waitFor } from '@outbox/services'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { namesIn } from '../src/pg/names.ts'
import { openNodePostgres, openPglite, openPostgresJs, ownDatabase } from './pg-databases.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })

describeWith('postgres', 'waking up on PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await ownDatabase()
    await using own = openNodePostgres(database.url)
    await setup(own.db)
  })
  afterAll(() => database[Symbol.asyncDispose]())

  describe.each([
    ['node-postgres', () => openNodePostgres(database.url)],
    ['postgres-js', () => openPostgresJs(database.url)],
  ])('%s', (_, open) => {
    let producer: ReturnType<typeof open>
    let relay: ReturnType<typeof open>
    let wakes: number
    const wake = (): void => {
      wakes++
    }
    beforeEach(() => {
      producer = open()
      relay = open()
      wakes = 0
    })
    afterEach(async () => {
      await producer[Symbol.asyncDispose]()
      await relay[Symbol.asyncDispose]()
    })

    test.each(['debounced', 'transaction'] as const)(
      'a commit wakes a relay in another process: %s',
      async (notify) => {
        const outbox = pgOutbox({ db: producer.db, notify })
        await using _subscription = await pgOutbox({ db: relay.db }).subscribe(wake)
        await listening(1)
        const before = wakes
        await producer.db.transaction((tx) => outbox.enqueue(tx, placed))
        await waitFor(() => wakes > before, { what: 'the wake-up' })
      },
    )

    test('a commit wakes a relay that names the schema, where the producer leaves that to the search path', async () => {
      const outbox = pgOutbox({ db: producer.db })
      await using _subscription = await pgOutbox({ db: relay.db, schema: 'public' }).subscribe(wake)
      await listening(1)
      await waitFor(() => wakes > 0, { what: 'the wake-up for what was committed before' })
      const before = wakes
      await producer.db.transaction((tx) => outbox.enqueue(tx, placed))
      await waitFor(() => wakes > before, { what: 'the wake-up' })
    })

    test.each(['debounced', 'transaction'] as const)(
      'with the partitions of what was committed: %s',
      async (notify) => {
        const outbox = pgOutbox({ db: producer.db, notify })
        const heard: (readonly number[] | undefined)[] = []
        await using _subscription = await pgOutbox({ db: relay.db }).subscribe(
          (partitions) => void heard.push(partitions),
        )
        await listening(1)
        await waitFor(() => heard.length > 0, { what: 'the wake-up for what was committed before' })
        expect(heard.splice(0).every((partitions) => partitions === undefined)).toBe(true)
        const ids = ['1', '2', '3']
        await producer.db.transaction(async (tx) => {
          await outbox.enqueue(tx, { ...placed, aggregateId: '1' })
          await outbox.enqueue(
            tx,
            ids.map((aggregateId) => ({ ...placed, aggregateId })),
          )
        })
        const named = (): ReadonlySet<number> => new Set(heard.flatMap((partitions) => partitions ?? []))
        await waitFor(() => named().size === ids.length, { what: 'the wake-up' })
        expect(named()).toEqual(new Set(ids.map((id) => partitionOf('order', id))))
      },
    )

    test('what this process has told itself wakes it once, and what it does not understand, everywhere', async () => {
      const outbox = pgOutbox({ db: producer.db })
      const heard: (readonly number[] | undefined)[] = []
      await using _subscription = await outbox.subscribe((partitions) => void heard.push(partitions))
      await listening(1)
      await waitFor(() => heard.length > 0, { what: 'the wake-up for what was committed before' })
      heard.splice(0)
      await producer.db.transaction((tx) => outbox.enqueue(tx, placed))
      await waitFor(() => heard.length > 0, { what: 'the wake-up' })
      // behind its own notification, if there is one
      const channel = `split_part(query, '"', 2)`
      await producer.db.execute(
        `select pg_notify(${channel}, 'x y') from pg_stat_activity where pid in (${await listeners()})`,
      )
      await waitFor(() => heard.includes(undefined), { what: 'the wake-up for what is not understood' })
      expect(heard).toEqual([[partitionOf('order', '1')], undefined])
    })

    test('a transaction wakes when it commits, however long it stays open, and a rolled back one does not', async () => {
      const outbox = pgOutbox({ db: producer.db, listen: false })
      await using _subscription = await outbox.subscribe(wake)
      const rolledBack = new Error('rolled back on purpose')
      const attempt = producer.db.transaction(async (tx) => {
        await outbox.enqueue(tx, placed)
        throw rolledBack
      })
      await expect(attempt).rejects.toBe(rolledBack)
      await producer.db.transaction(async (tx) => {
        await outbox.enqueue(tx, placed)
        // at least three looks at an open transaction, and at the rolled back one
        await tx.execute('select pg_sleep(0.1)')
        expect(wakes).toBe(0)
      })
      await waitFor(() => wakes > 0, { what: 'the wake-up' })
      expect(wakes).toBe(1)
    })

    test('each commit is told, though nobody polls', async () => {
      const outbox = pgOutbox({ db: producer.db })
      await using _subscription = await pgOutbox({ db: relay.db }).subscribe(wake)
      await listening(1)
      for (let n = 0; n < 10; n++) {
        const before = wakes
        await producer.db.transaction((tx) => outbox.enqueue(tx, placed))
        await waitFor(() => wakes > before, { what: 'the wake-up', intervalMs: 1 })
      }
    })

    test('a subscription outlives the loss of its connection', async () => {
      const outbox = pgOutbox({ db: producer.db })
      await using _subscription = await pgOutbox({ db: relay.db }).subscribe(wake)
      const [lost] = await listening(1)
      await producer.db.execute(`select pg_terminate_backend(${lost})`)
      await waitFor(async () => (await listeners()).some((pid) => pid !== lost), { what: 'another listener' })
      const before = wakes
      await producer.db.transaction((tx) => outbox.enqueue(tx, placed))
      await waitFor(() => wakes > before, { what: 'the wake-up' })
    })

    test('a disposed subscription hears nothing more, and its connection is free again', async () => {
      const outbox = pgOutbox({ db: producer.db, notify: 'transaction' })
      const subscription = await pgOutbox({ db: relay.db }).subscribe(wake)
      let heard = 0
      await using _other = await outbox.subscribe(() => void heard++)
      await listening(2)
      await subscription[Symbol.asyncDispose]()
      await subscription[Symbol.asyncDispose]()
      const [wakesBefore, heardBefore] = [wakes, heard]
      await producer.db.transaction((tx) => outbox.enqueue(tx, placed))
      await waitFor(() => heard > heardBefore, { what: 'the other one to hear' })
      expect(wakes).toBe(wakesBefore)
    })

    test('a disposed subscription hears nothing more, though its connection was lost before', async () => {
      const outbox = pgOutbox({ db: producer.db, notify: 'transaction' })
      const subscription = await pgOutbox({ db: relay.db }).subscribe(wake)
      let heard = 0
      await using _other = await pgOutbox({ db: relay.db }).subscribe(() => void heard++)
      const lost = await listeners()
      for (const pid of lost) await producer.db.execute(`select pg_terminate_backend(${pid})`)
      await waitFor(async () => (await listeners()).filter((pid) => !lost.includes(pid)).length === lost.length, {
        what: 'other listeners',
      })
      await subscription[Symbol.asyncDispose]()
      const [wakesBefore, heardBefore] = [wakes, heard]
      await producer.db.transaction((tx) => outbox.enqueue(tx, placed))
      await waitFor(() => heard > heardBefore, { what: 'the other one to hear' })
      expect(wakes).toBe(wakesBefore)
    })

    test('a subscription whose connection is lost while it is disposed ends all the same', async () => {
      await using proxy = await startTcpProxy(database.url)
      const url = proxy.through(database.url)
      await using own = _ === 'node-postgres' ? openNodePostgres(url) : openPostgresJs(url)
      const subscription = await pgOutbox({ db: own.db }).subscribe(wake)
      await listening(1)
      proxy.blackHole()
      const end = subscription[Symbol.asyncDispose]()
      proxy.reset()
      await end
    })

    test('a server that cannot be reached neither fails nor delays a subscription for long', async () => {
      const nowhere = new URL(database.url)
      nowhere.port = '1'
      await using away = _ === 'node-postgres' ? openNodePostgres(nowhere.href) : openPostgresJs(nowhere.href)
      const subscription = await pgOutbox({ db: away.db }).subscribe(wake)
      await subscription[Symbol.asyncDispose]()
      expect(wakes).toBe(0)
    })

    async function listening(count: number): Promise<readonly number[]> {
      return waitFor(
        async () => {
          const pids = await listeners()
          return pids.length === count && pids
        },
        { what: `${count} sessions that listen` },
      )
    }

    /** A session that listens shows it as its last statement. */
    async function listeners(): Promise<readonly number[]> {
      await using own = openNodePostgres(database.url, { max: 1 })
      const { rows } = await own.db.$client.query<{ pid: number }>(
        `select pid from pg_stat_activity where datname = current_database() and state = 'idle' and query like 'listen %'`,
      )
      return rows.map(({ pid }) => pid)
    }
  })

  test('with notify off nothing is sent, and listen false keeps no connection', async () => {
    await using own = openNodePostgres(database.url)
    const outbox = pgOutbox({ db: own.db, notify: 'off', listen: false })
    const subscription = await outbox.subscribe(() => undefined)
    const client = await own.db.$client.connect()
    expect(own.db.$client.totalCount).toBe(1)
    const heard: (string | undefined)[] = []
    client.on('notification', ({ payload }) => heard.push(payload))
    const channel = namesIn({}).channel
    await client.query(`listen "${channel}"`)
    await own.db.transaction((tx) => outbox.enqueue(tx, placed))
    await waitFor(async () => (await outbox.stats()).pending > 0, { what: 'the commit to be seen' })
    await client.query(`select pg_notify('${channel}', 'barrier')`)
    await waitFor(() => heard.includes('barrier'), { what: 'the barrier' })
    expect(heard).toEqual(['barrier'])
    client.release(true)
    await subscription[Symbol.asyncDispose]()
  })

  test('a pool of one connection is not listened on: the relay needs it', async () => {
    await using own = openNodePostgres(database.url, { max: 1 })
    const outbox: PgOutbox = pgOutbox({ db: own.db })
    await using _subscription = await outbox.subscribe(() => undefined)
    expect((await outbox.stats()).dead).toBe(0)
  })
})

describe('waking up on PGlite', () => {
  const own = openPglite()
  beforeAll(() => setup(own.db))
  afterAll(() => own[Symbol.asyncDispose]())

  test('a commit wakes the subscribers of every outbox on it', async () => {
    let wakes = 0
    const outbox = pgOutbox({ db: own.db })
    await using _subscription = await pgOutbox({ db: own.db }).subscribe(() => void wakes++)
    const before = wakes
    await own.db.transaction((tx) => outbox.enqueue(tx, placed))
    await waitFor(() => wakes > before, { what: 'the wake-up' })
  })
})
