import { type DueEntry, event, type Lease, type Settlement } from '@outbox/core'
import { type MysqlDatabase, type MysqlOutbox, mysqlOutbox, setup } from '@outbox/drizzle/mysql'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  type Opened,
  openMysql,
  ownDatabase,
  rowsOf,
  servers,
  sessionsWaiting,
  type TestDb,
} from './mysql-databases.ts'

const tables = ['entries', 'sequences', 'aggregates', 'relays', 'leases', 'meta']

for (const [title, server] of servers) {
  describeWith(server, `the fence on ${title}`, () => {
    let database: TestDatabase
    let own: Opened<TestDb>
    let outbox: MysqlOutbox
    let lease: Lease
    let due: readonly DueEntry[]

    beforeAll(async () => {
      database = await ownDatabase(server)
      own = openMysql(database.url)
      await setup(own.db)
      outbox = mysqlOutbox({ db: own.db })
    })
    afterAll(async () => {
      await own[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    })

    beforeEach(startAnew)

    async function startAnew(): Promise<void> {
      for (const table of tables) await own.pool.query(`delete from outbox_${table}`)
      const placed = event('order.placed', { aggregateId: '1', payload: {} })
      await own.db.transaction((tx) => outbox.enqueue(tx, [placed, placed, placed]))
      await outbox.join({ holder: 'old' })
      const { leases, duePartitions } = await outbox.poll({ holder: 'old' })
      const claims = leases.filter(({ partition }) => partition === duePartitions[0])
      const granted = await outbox.acquire({ holder: 'old', claims, evict: [] })
      lease = granted[0] ?? expect.fail('no lease was granted')
      due = await fetchOne(outbox, lease)
      expect(due).toHaveLength(1)
    }

    /** Takes the lease over from `old`, whose beat is known: it polled once. */
    async function takeOver(holder: string = 'new'): Promise<readonly Lease[]> {
      await outbox.join({ holder })
      return outbox.acquire({ holder, claims: [lease], evict: [{ holder: 'old', beat: 1 }] })
    }

    /**
     * Statements meet at the row of the lease: another session holds it locked until both wait, in an order that the
     * test chooses.
     */
    async function meetingAtTheLease<First, Second>(
      first: () => Promise<First>,
      second: () => Promise<Second>,
    ): Promise<readonly [First, Second]> {
      const blocker: Connection = await createConnection(database.url)
      try {
        await blocker.query('begin')
        await blocker.query('select * from outbox_leases where `partition` = ? for update', [lease.partition])
        const firstDone = first()
        await waiting(1)
        const secondDone = second()
        await waiting(2)
        await blocker.query('commit')
        return [await firstDone, await secondDone]
      } finally {
        await blocker.end()
      }
    }

    async function waiting(sessions: number): Promise<void> {
      await waitFor(async () => (await sessionsWaiting(database)) === sessions, {
        what: `${sessions} sessions to wait for a lock`,
        // asked more often than every 100 ms, InnoDB gives what it gave before
        intervalMs: 150,
      })
    }

    test('a settle that waits behind a take-over is lost, and changes nothing', async () => {
      const [granted, settled] = await meetingAtTheLease(takeOver, () => settle(outbox, due.map(published)))
      expect(granted).toEqual([
        { partition: lease.partition, epoch: lease.epoch + 1, holder: 'new', hasSuspects: false },
      ])
      expect(settled).toEqual({ lost: [lease] })
      expect(await outbox.fetchUnpublished(10)).toHaveLength(3)
      // nobody said what became of the one that was lent
      expect(await fetchOne(outbox, ...granted)).toMatchObject([{ sequence: 1, attempt: 1, crashes: 1 }])
    })

    test('a settle that a take-over waits for counts, and nothing crashed', async () => {
      const [settled, granted] = await meetingAtTheLease(() => settle(outbox, due.map(published)), takeOver)
      expect(settled).toEqual({ lost: [] })
      expect(await fetchOne(outbox, ...granted)).toMatchObject([{ sequence: 2, attempt: 1, crashes: 0 }])
    })

    test('of two take-overs that meet, one is granted', async () => {
      await outbox.join({ holder: 'first' })
      await outbox.join({ holder: 'second' })
      await outbox.acquire({ holder: 'first', claims: [], evict: [{ holder: 'old', beat: 1 }] })
      const claim = (holder: string) => () => outbox.acquire({ holder, claims: [lease], evict: [] })
      const granted = (await meetingAtTheLease(claim('first'), claim('second'))).flat()
      expect(granted).toMatchObject([{ partition: lease.partition, epoch: lease.epoch + 1 }])
    })

    test('a settle that has counted is not lost, whoever takes over before it has cleared the notes of its other leases', async () => {
      const { leases: free } = await outbox.poll({ holder: 'old' })
      const claims = free.filter(({ holder }) => holder === null).slice(0, 1)
      const others = await outbox.acquire({ holder: 'old', claims, evict: [] })
      const stopped = stoppedAt(own.db, 2)
      const calling = mysqlOutbox({ db: stopped.db }).settle({
        leases: [lease, ...others],
        settlements: due.map(published),
      })
      expect(await stopped.isReached(calling)).toBe(true)
      await outbox.join({ holder: 'new' })
      const granted = await outbox.acquire({ holder: 'new', claims: [lease], evict: [{ holder: 'old', beat: 2 }] })
      stopped.goOn()
      expect(await calling).toEqual({ lost: [] })
      expect(await fetchOne(outbox, ...granted)).toMatchObject([{ sequence: 2, crashes: 0 }])
    })

    test('a fetch lends nothing that was settled since it began to read, under the same lease too', async () => {
      for (let stopAt = 1; ; stopAt++) {
        const stopped = stoppedAt(own.db, stopAt)
        const calling = fetchOne(mysqlOutbox({ db: stopped.db }), lease)
        if (!(await stopped.isReached(calling))) return expect(stopAt).toBeGreaterThan(2)
        expect(await settle(outbox, due.map(published))).toEqual({ lost: [] })
        stopped.goOn()
        // before it reads, after it has noted, or not at all
        const noted = stopAt === 1 ? [{ sequence: 2 }] : []
        expect(await calling, `stopped before statement ${stopAt}`).toMatchObject(noted)
        await startAnew()
      }
    })

    const calls: readonly (readonly [string, (zombie: MysqlOutbox) => Promise<unknown>, unknown])[] = [
      ['fetch', (zombie) => fetchOne(zombie, lease), []],
      ['settle as published', (zombie) => settle(zombie, due.map(published)), 'lost'],
      ['settle as waiting', (zombie) => settle(zombie, due.map(waitsLong)), 'lost'],
      ['settle as blocked', (zombie) => settle(zombie, due.map(blocked)), 'lost'],
      ['release', (zombie) => zombie.release({ holder: 'old', leases: [lease], leave: true }), undefined],
    ]

    test.each(calls)(
      'a relay that is stopped before any statement of its %s holds nobody up, and changes nothing later',
      async (_, call, answer) => {
        for (let stopAt = 1; ; stopAt++) {
          const stopped = stoppedAt(own.db, stopAt)
          const calling = call(mysqlOutbox({ db: stopped.db }))
          if (!(await stopped.isReached(calling))) {
            // what the call is made of was gone through
            expect(stopAt).toBeGreaterThan(1)
            return
          }
          const granted = await takeOver(`new-${stopAt}`)
          expect(granted).toHaveLength(1)
          const lent = await fetchOne(outbox, ...granted)
          // what it had said before it was stopped counts
          const hasCounted = lent.length === 0
          expect(lent).toMatchObject(hasCounted ? [] : [{ sequence: 1 }])
          expect(await settle(outbox, lent.map(published))).toEqual({ lost: [] })
          const next = await fetchOne(outbox, ...granted)
          expect(next).toMatchObject(hasCounted ? [] : [{ sequence: 2, crashes: 0 }])
          const before = await contents()
          stopped.goOn()
          expect(await calling).toEqual(answer === 'lost' ? { lost: hasCounted ? [] : [lease] } : answer)
          expect(await contents()).toEqual(before)
          await startAnew()
        }
      },
    )

    /** All that a relay can see or do something with. */
    async function contents(): Promise<unknown> {
      return [
        await rowsOf(own.pool, 'select * from outbox_entries order by position'),
        await rowsOf(own.pool, 'select * from outbox_leases order by `partition`'),
        await rowsOf(
          own.pool,
          'select * from outbox_aggregates where blockers > 0 or waiting_until > utc_timestamp(6)',
        ),
        await rowsOf(own.pool, 'select holder from outbox_relays order by holder'),
      ]
    }

    function settle(store: MysqlOutbox, settlements: readonly Settlement[]) {
      return store.settle({ leases: settlements.map(({ entry }) => entry.lease), settlements })
    }
  })
}

function fetchOne(store: MysqlOutbox, ...leases: readonly Lease[]): Promise<readonly DueEntry[]> {
  return store.fetch({ leases, limit: 1, limitPerAggregate: 1, maxBytes: 1000 })
}

function published(entry: DueEntry): Settlement {
  return { entry, outcome: 'published' }
}

function waitsLong(entry: DueEntry): Settlement {
  return { entry, outcome: 'retry', retryInMs: 1e9, isRefusal: true, reason: 'late' }
}

function blocked(entry: DueEntry): Settlement {
  return { entry, outcome: 'dead', reason: 'late', blocksAggregate: true }
}

/** A database whose user is stopped, as by SIGSTOP, when it is about to send its n-th statement. */
function stoppedAt(db: TestDb, statement: number) {
  const reached = Promise.withResolvers<true>()
  const going = Promise.withResolvers<void>()
  let sent = 0
  const stopped: MysqlDatabase = {
    execute: async (query) => {
      sent += 1
      if (sent === statement) {
        reached.resolve(true)
        await going.promise
      }
      return db.execute(query)
    },
  }
  return {
    db: stopped,
    isReached: (call: Promise<unknown>) => Promise.race([reached.promise, call.then(() => false)]),
    goOn: () => going.resolve(),
  }
}
