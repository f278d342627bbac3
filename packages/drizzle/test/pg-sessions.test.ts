import { pgOutbox, setup } from '@outbox/drizzle/pg'
import {
  createDatabase,
  describeWith,
  isAvailable,
  type OwnServer,
  sharedPostgres,
  startPgBouncer,
  type TestDatabase,
} from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { drizzle as onPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openNodePostgres, openPostgresJs, ownDatabase } from './pg-databases.ts'
import { liveWholeLife } from './pg-life.ts'
import { run } from './pg-roles.ts'

describeWith('postgres', 'odd sessions', () => {
  let database: TestDatabase
  beforeEach(async () => {
    database = await ownDatabase()
  })
  afterEach(() => database[Symbol.asyncDispose]())

  describe.each([
    ['node-postgres', openNodePostgres],
    ['postgres-js', openPostgresJs],
  ])('%s', (_, open) => {
    test.each<[string, Readonly<Record<string, string>>]>([
      ['a time zone with half an hour in it', { timezone: 'Asia/Kolkata' }],
      ['a German way to write dates', { datestyle: 'German, DMY', intervalstyle: 'sql_standard' }],
      ['SQL’s way to write dates', { datestyle: 'SQL, DMY', intervalstyle: 'postgres_verbose' }],
      [
        'backslashes that escape',
        { standard_conforming_strings: 'off', backslash_quote: 'off', escape_string_warning: 'off' },
      ],
      ['bytes as escapes, and few digits', { bytea_output: 'escape', extra_float_digits: '-15' }],
      ['all identifiers quoted', { quote_all_identifiers: 'on' }],
      ['serializable transactions', { default_transaction_isolation: 'serializable' }],
      [
        'few rows at a time, and just-in-time compilation',
        { jit: 'on', jit_above_cost: '0', cursor_tuple_fraction: '1' },
      ],
    ])('%s', async (_, settings) => {
      for (const [name, value] of Object.entries(settings)) {
        await run(database.url, `alter database ${database.name} set ${name} = '${value.replaceAll("'", "''")}'`)
      }
      await using own = open(database.url)
      await liveWholeLife(own.db)
    })

    test('a search_path that leads elsewhere does not matter where the schema is named', async () => {
      await run(database.url, `create schema empty; alter database ${database.name} set search_path = 'empty'`)
      await using own = open(database.url)
      await liveWholeLife(own.db, { schema: 'messaging' })
    })

    test('a search_path alone says where the tables are', async () => {
      await run(database.url, `create schema "odd, one"; alter database ${database.name} set search_path = "odd, one"`)
      await using own = open(database.url)
      await liveWholeLife(own.db)
    })
  })

  test.each([
    ["locale_provider icu icu_locale 'sv'", 'Swedish order'],
    ["locale_provider icu icu_locale 'en-u-kn-kf-upper'", 'numeric order, capitals first'],
  ])('an order of letters of its own: %s', async (locale) => {
    await using odd = await createDatabase(await sharedPostgres(), `template template0 ${locale}`)
    await using own = openNodePostgres(odd.url)
    await liveWholeLife(own.db)
  })

  test('producers lock aggregates in one order, whatever the collation makes of their names: none is a deadlock', async () => {
    const swedish = "template template0 locale_provider icu icu_locale 'sv'"
    await using odd = await createDatabase(await sharedPostgres(), swedish)
    await using own = openNodePostgres(odd.url, { max: 8 })
    await setup(own.db)
    const outbox = pgOutbox({ db: own.db, notify: 'off' })
    // in the order of code points, backwards, and shuffled: neither is the order of Swedish
    const names = ['a', 'B', 'ä', 'Z', 'å', 'z', 'ö', 'A', '_', '10', '9', 'é', 'e', '😀']
    const orders = [names.toSorted(), names.toSorted().toReversed(), names, names.toReversed()]
    const producer = async (order: readonly string[]): Promise<void> => {
      for (let n = 0; n < 25; n++) {
        const batch = order.map((aggregateId) => ({ type: 'order.placed', aggregateId, payload: {} }))
        await own.db.transaction((tx) => outbox.enqueue(tx, batch))
      }
    }
    await Promise.all([...orders, ...orders].map(producer))
    expect(await outbox.stats()).toMatchObject({ pending: 8 * 25 * names.length })
  })

  test('a pool of one connection: a transaction enqueues on it, and a relay lives on it', async () => {
    await using own = openNodePostgres(database.url, { max: 1 })
    await liveWholeLife(own.db, { notify: 'debounced' })
    await using one = oneConnectionOfPostgresJs(database.url)
    await liveWholeLife(one.db, { notify: 'debounced', prefix: 'js_' })
  })
})

describeWith(['postgres', { own: 'pgbouncer' }], 'behind PgBouncer in transaction mode', () => {
  let database: TestDatabase
  let bouncer: OwnServer
  beforeEach(async () => {
    database = await ownDatabase()
    bouncer = await startPgBouncer({ to: database.url })
  })
  afterEach(async () => {
    await bouncer[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  test('node-postgres lives its whole life, without LISTEN', async () => {
    await using own = openNodePostgres(bouncer.url)
    await liveWholeLife(own.db, { notify: 'debounced', listen: false })
  })

  // PgBouncer knows prepared statements since 1.21
  const canPrepare = isAvailable({ own: 'pgbouncer', atLeast: '1.21' })
  test.each(canPrepare ? [true, false] : [false])(
    'postgres-js lives its whole life, without LISTEN, prepare: %s',
    async (prepare) => {
      const client = postgres(bouncer.url, { max: 4, prepare, onnotice: () => undefined })
      try {
        await liveWholeLife(onPostgresJs({ client }), { notify: 'debounced', listen: false })
      } finally {
        await client.end()
      }
    },
  )

  test('more transactions than connections: each handle keeps to its own', async () => {
    const pool = new Pool({ connectionString: bouncer.url, max: 12 })
    const db = drizzle({ client: pool })
    try {
      await setup(db)
      const outbox = pgOutbox({ db, listen: false })
      const enqueue = (n: number) =>
        db.transaction((tx) => outbox.enqueue(tx, { type: 'order.placed', aggregateId: `${n}`, payload: {} }))
      await Promise.all(Array.from({ length: 60 }, (_, n) => enqueue(n)))
      expect(await outbox.stats()).toMatchObject({ pending: 60 })
    } finally {
      await pool.end()
    }
  })
})

function oneConnectionOfPostgresJs(url: string) {
  const client = postgres(url, { max: 1, onnotice: () => undefined })
  return { db: onPostgresJs({ client }), [Symbol.asyncDispose]: () => client.end() }
}
