import { randomUUID } from 'node:crypto'
import { event } from '@outbox/core'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, type TestDatabase, waitFor } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openNodePostgres, ownDatabase, sessionsWaiting } from './pg-databases.ts'
import { replacing } from './pg-watching.ts'

/** how an insert that tells what it met begins */
const wholeInsert = 'with given as materialized'

describeWith('postgres', 'what an enqueue sends', () => {
  describe.each(['mark', 'log'] as const)('with the %s engine', (engine) => {
    let database: TestDatabase
    let own: ReturnType<typeof openNodePostgres>
    let sent: string[]
    /** of the last `enqueue` that failed: what drizzle makes of it may be another */
    let failure: unknown
    const outbox = () => pgOutbox({ db: own.db, engine, notify: 'off' })

    beforeAll(async () => {
      database = await ownDatabase()
      own = openNodePostgres(database.url)
      await setup(own.db, { engine })
    })
    afterAll(async () => {
      await own[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    })

    /** a transaction of its own; which inserts were sent in it is in `sent` */
    const enqueue = async (...events: readonly ReturnType<typeof event>[]) => {
      sent = []
      const pool = own.db.$client
      const listening = replacing(pool, 'connect', async () => {
        const client = await pool.connect()
        return replacing(client, 'query', async (query: string | { readonly text: string }) => {
          const text = typeof query === 'string' ? query : query.text
          if (text.includes('insert into')) sent.push(text.trim().startsWith(wholeInsert) ? 'whole' : 'ordinary')
          return client.query(query as never)
        })
      })
      const receipts = await drizzle({ client: listening }).transaction((tx) =>
        outbox()
          .enqueue(tx, events)
          .catch((error: unknown) => {
            failure = error
            throw error
          }),
      )
      return receipts.map(({ sequence, duplicate }) => (duplicate ? `${sequence} again` : sequence))
    }
    const ofStore = (type: string, aggregateId: string, id = randomUUID()) =>
      event(`${type}.happened`, { aggregateId, payload: { note: 'it cost $1, not $2' }, id })
    const ofCaller = (type: string, aggregateId: string, sequence: number, id = randomUUID()) =>
      event(`${type}.happened`, { aggregateId, payload: {}, sequence, id })

    test('the first of a type takes the whole insert, whatever follows the short one', async () => {
      expect(await enqueue(ofStore('order', 'a'))).toEqual([1])
      expect(sent).toEqual(['ordinary', 'whole'])
      expect(await enqueue(ofStore('order', 'a'))).toEqual([2])
      expect(sent).toEqual(['ordinary'])
      expect(await enqueue(ofStore('order', 'b'), ofStore('order', 'a'), ofStore('order', 'b'))).toEqual([1, 3, 2])
      expect(sent).toEqual(['ordinary'])
    })

    test('types that callers number take the short one where nothing comes late', async () => {
      expect(await enqueue(ofCaller('account', 'a', 7))).toEqual([7])
      expect(await enqueue(ofCaller('account', 'a', 9), ofCaller('account', 'a', 8))).toEqual([9, 8])
      expect(sent).toEqual(['ordinary'])
      expect(await enqueue(ofCaller('account', 'a', 6))).toEqual([6])
      expect(sent).toEqual(engine === 'mark' ? ['ordinary'] : ['ordinary', 'whole'])
      await expect(enqueue(ofCaller('account', 'a', 9))).rejects.toMatchObject({ code: 'sequence-conflict' })
      // the one below stands aside in a log, where it is the only one
      await expect(enqueue(ofCaller('account', 'a', 6))).rejects.toMatchObject({ code: 'sequence-conflict' })
    })

    test('an id that is known takes the whole insert, and no number', async () => {
      const known = ofStore('parcel', 'a')
      await enqueue(known)
      expect(await enqueue(known)).toEqual(['1 again'])
      expect(sent).toEqual(['ordinary', 'whole'])
      expect(await enqueue(ofStore('parcel', 'a'), known, ofStore('parcel', 'a'))).toEqual([2, '1 again', 3])
      expect(sent).toEqual(['ordinary', 'whole'])
      expect(await enqueue(ofStore('parcel', 'a'))).toEqual([4])
    })

    test('where callers number, an id that is known keeps no other out', async () => {
      const known = ofCaller('deed', 'a', 1)
      await enqueue(known)
      expect(await enqueue(known)).toEqual(['1 again'])
      expect(sent).toEqual(['ordinary', 'whole'])
      expect(await enqueue(ofCaller('deed', 'a', 3), known, ofCaller('deed', 'a', 2))).toEqual([3, '1 again', 2])
      expect(sent).toEqual(['ordinary', 'whole'])
      await expect(enqueue(known, ofCaller('deed', 'a', 4), ofCaller('deed', 'a', 1))).rejects.toMatchObject({
        code: 'sequence-conflict',
      })
      expect(await enqueue(ofCaller('deed', 'a', 4))).toEqual([4])
    })

    test('a batch of both kinds of numbers, or of many types, takes the whole insert alone', async () => {
      await enqueue(ofStore('left', 'a'))
      await enqueue(ofCaller('right', 'a', 1))
      expect(await enqueue(ofStore('left', 'a'), ofCaller('right', 'a', 2))).toEqual([2, 2])
      expect(sent).toEqual(['whole'])
      const types = ['t1', 't2', 't3', 't4', 't5'].map((type) => ofStore(type, 'a'))
      await enqueue(...types)
      expect(await enqueue(...types.map(({ type }) => ofStore(type.slice(0, 2), 'a')))).toEqual([2, 2, 2, 2, 2])
      expect(sent).toEqual(['whole'])
      expect(await enqueue(ofStore('t1', 'a'), ofStore('t2', 'b'), ofStore('t3', 'a'))).toEqual([3, 1, 3])
      expect(sent).toEqual(['ordinary'])
    })

    test('a type that is numbered the other way is refused as before, and nothing is written', async () => {
      await enqueue(ofStore('bill', 'a'))
      const { pending } = await outbox().stats()
      await expect(enqueue(ofCaller('bill', 'a', 5))).rejects.toMatchObject({ code: 'sequence-source-mixed' })
      await expect(enqueue(ofStore('left', 'b'), ofCaller('bill', 'a', 5))).rejects.toMatchObject({
        code: 'sequence-source-mixed',
      })
      expect((await outbox().stats()).pending).toBe(pending)
      expect(await enqueue(ofStore('bill', 'a'))).toEqual([2])
    })

    test('what another transaction writes meanwhile is known when it has committed, and the rest is written', async () => {
      const shared = ofStore('race', 'a')
      await enqueue(ofStore('race', 'z'))
      let late: Promise<unknown> = Promise.resolve()
      await own.db.transaction(async (tx) => {
        await outbox().enqueue(tx, shared)
        late = enqueue(ofStore('race', 'b'), shared)
        late.catch(() => undefined)
        await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the second to wait' })
      })
      expect(await late).toEqual([1, '1 again'])
    })

    test('a connection that is cut off while the short insert waits leaves nothing, and keeps nobody waiting', async () => {
      await enqueue(ofStore('cut', 'a'))
      let cutOff: Promise<unknown> = Promise.resolve()
      await own.db.transaction(async (tx) => {
        await outbox().enqueue(tx, ofStore('cut', 'a'))
        cutOff = enqueue(ofStore('cut', 'a'), ofStore('cut', 'b')).catch((error: unknown) => error)
        await waitFor(async () => (await sessionsWaiting(database)) === 1, { what: 'the second to wait' })
        await own.db.$client.query(`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`)
        expect(await cutOff).toBeInstanceOf(Error)
      })
      expect(failure).toMatchObject({ code: 'unavailable', isRetryable: true })
      expect(sent).toEqual(['ordinary'])
      expect(await enqueue(ofStore('cut', 'a'), ofStore('cut', 'b'))).toEqual([3, 1])
    })

    test('every text of up to five signs that mean something in SQL comes back as it was, alone and among others', async () => {
      const signs = ['$', 'o', "'", '\\', '1']
      const texts = [1, 2, 3, 4, 5].flatMap((length) => words(signs, length))
      const events = texts.map((text) =>
        event('sign.seen', { id: randomUUID(), aggregateId: `in ${text}`, payload: text }),
      )
      const short = events.filter(({ payload }) => payload.length <= 3)
      await enqueue(ofStore('sign', 'first'))
      for (const one of short) expect(await enqueue(one)).toEqual([1])
      expect(sent).toEqual(['ordinary'])
      await enqueue(...events)
      const table = engine === 'mark' ? 'outbox_entries' : 'outbox_log'
      const { rows } = await own.db.$client.query(
        `select aggregate_id, payload::text as payload from ${table} where aggregate_id like 'in %'`,
      )
      expect(new Map(rows.map((row) => [row.aggregate_id, row.payload]))).toEqual(
        new Map(texts.map((text) => [`in ${text}`, JSON.stringify(text)])),
      )
    })
  })
})

function words(signs: readonly string[], length: number): readonly string[] {
  return length === 0 ? [''] : words(signs, length - 1).flatMap((word) => signs.map((sign) => word + sign))
}
