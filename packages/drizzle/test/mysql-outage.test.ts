import { event } from '@outbox/core'
import { mysqlInbox, mysqlOutbox, setup, setupInbox } from '@outbox/drizzle/mysql'
import { describeWith, type OwnServer, startMariadb, startMysql, startTcpProxy, waitFor } from '@outbox/services'
import { expectHandledAgain } from '@outbox/services/delivery-outage'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { openMysql, rowsOf } from './mysql-databases.ts'

const placed = event('order.placed', { aggregateId: '1', payload: {} })

for (const [title, service, start] of [
  ['MySQL', 'mysql', startMysql],
  ['MariaDB', 'mariadb', startMariadb],
] as const) {
  describeWith({ own: service }, `a ${title} that dies and comes back`, () => {
    let server: OwnServer
    beforeAll(async () => {
      server = await start()
      await using own = openMysql(server.url)
      await setup(own.db)
    })
    afterAll(() => server[Symbol.asyncDispose]())

    test('calls are unavailable meanwhile, and go on after it with what was committed', async () => {
      await using own = openMysql(server.url)
      const outbox = mysqlOutbox({ db: own.db })
      await own.db.transaction((tx) => outbox.enqueue(tx, placed))
      const killedInside = own.db.transaction(async (tx) => {
        await outbox.enqueue(tx, placed)
        await server.kill()
        await outbox.enqueue(tx, placed)
      })
      await expect(killedInside).rejects.toThrow()
      await expect(outbox.stats()).rejects.toMatchObject({ code: 'unavailable', isRetryable: true })
      await expect(outbox.join({ holder: 'h' })).rejects.toMatchObject({ code: 'unavailable' })
      await server.restart()
      await waitFor(() => outbox.stats().catch(() => undefined), { what: 'the server to answer', timeoutMs: 120_000 })
      expect(await outbox.stats()).toMatchObject({ pending: 1 })
      expect(await own.db.transaction((tx) => outbox.enqueue(tx, placed))).toMatchObject([{ sequence: 2 }])
    })

    test('a message whose effect went down with the server is handled again, once', async () => {
      await using own = openMysql(server.url)
      await setupInbox(own.db)
      const inbox = mysqlInbox({ db: own.db })
      await expectHandledAgain(server, inbox, (work) => own.db.transaction(work))
    })

    test('a server that takes no statement as large as a payload may be says so, to a check and to an enqueue', async () => {
      await using own = openMysql(server.url)
      const megabytes = 1024 * 1024
      const [{ bytes = 0 } = {}] = await rowsOf(own.pool, 'select @@max_allowed_packet as bytes')
      await own.pool.query(`set global max_allowed_packet = ${2 * megabytes}`)
      onTestFinished(async () => {
        await using restoring = openMysql(server.url)
        await restoring.pool.query(`set global max_allowed_packet = ${bytes}`)
      })
      await using limited = openMysql(server.url)
      const outbox = mysqlOutbox({ db: limited.db })
      await expect(outbox.check()).rejects.toThrow(/max_allowed_packet of 4065536 bytes or more; it is 2097152/)
      const large = event('order.placed', { aggregateId: 'large', payload: 'é'.repeat(megabytes / 2 - 10) })
      const enqueueing = limited.db.transaction(async (tx) => {
        const failure = await outbox.enqueue(tx, large).catch((error: unknown) => error)
        expect(failure).toMatchObject({ code: 'setup-required' })
        expect(String(failure)).toContain('max_allowed_packet')
      })
      await expect(enqueueing).rejects.toThrow() // the server has closed the connection
    })

    test('a server that is read-only says so, and takes writes again', async () => {
      await using own = openMysql(server.url)
      // root may write all the same
      await own.pool.query(`create user 'limited'@'%'`)
      await own.pool.query(`grant select, insert, update, delete on mysql.* to 'limited'@'%'`)
      const url = new URL(server.url)
      url.username = 'limited'
      await using limited = openMysql(url.href)
      const outbox = mysqlOutbox({ db: limited.db })
      await outbox.check()
      await own.pool.query('set global read_only = 1')
      const attempts = [
        () => outbox.check(),
        () => outbox.join({ holder: 'late' }),
        () => limited.db.transaction((tx) => outbox.enqueue(tx, placed)),
      ]
      for (const attempt of attempts) {
        const failure = await attempt().catch((error: unknown) => error)
        expect(failure).toMatchObject({ code: 'unavailable' })
        expect(String(failure)).toContain('read-only')
      }
      await own.pool.query('set global read_only = 0')
      await outbox.check()
    })

    test('an answer that never comes is cut short by the signal, and a lost one changes nothing twice', async () => {
      await using proxy = await startTcpProxy(server.url)
      await using own = openMysql(server.url)
      await using far = openMysql(proxy.through(server.url))
      const [near, outbox] = [mysqlOutbox({ db: own.db }), mysqlOutbox({ db: far.db })]
      await own.db.transaction((tx) => near.enqueue(tx, [placed, placed]))
      const holder = crypto.randomUUID()
      await outbox.join({ holder })
      const { leases: claims } = await outbox.poll({ holder })
      const leases = await outbox.acquire({ holder, claims, evict: [] })
      const due = await outbox.fetch({ leases, limit: 1, limitPerAggregate: 1, maxBytes: 1000 })
      proxy.holdAnswers()
      const controller = new AbortController()
      const settlements = due.map((entry) => ({ entry, outcome: 'published' }) as const)
      const settling = outbox.settle({ leases, settlements, signal: controller.signal })
      const arrived = async () =>
        (await rowsOf(own.pool, `select position from outbox_entries where state = 'published'`)).length === 1
      await waitFor(arrived, { what: 'the settle to arrive' })
      controller.abort(new Error('enough'))
      await expect(settling).rejects.toThrow('enough')
      proxy.heal()
      expect(await outbox.settle({ leases, settlements })).toEqual({ lost: [] })
      const next = await outbox.fetch({ leases, limit: 1, limitPerAggregate: 1, maxBytes: 1000 })
      expect(next).toMatchObject([{ sequence: (due[0]?.sequence ?? 0) + 1, crashes: 0 }])
    })
  })
}
