import { carryCounters } from '@outbox/example-moving/carry-counters'
import { describeWith, spawnNode, waitFor } from '@outbox/services'
import Database from 'better-sqlite3'
import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { expect, test } from 'vitest'
import type { Application } from '../src/application.ts'
import { type BrokerAddress, readStream } from '../src/brokers.ts'
import { clean, type Findings, findings } from '../src/check.ts'
import { eventWriter } from '../src/content.ts'
import { places } from '../src/places.ts'
import { type StoreName, stores } from '../src/stores.ts'
import { brisk, brokerAddress, isDrained, ofKind, programOf } from '../src/system.ts'

/** The steps of docs/moving.md, under load. */

interface Side {
  readonly application: Application
  readonly url: string
  startRelay(): ReturnType<typeof spawnNode>
}

interface Move extends AsyncDisposable {
  readonly from: Side
  readonly to: Side
  /** What the stream shows, held against what both applications have committed. */
  audit(): Promise<Findings>
}

async function prepareMove(): Promise<Move> {
  await using stack = new AsyncDisposableStack()
  const broker: BrokerAddress & AsyncDisposable = stack.use(await brokerAddress('redis'))
  const side = async (kind: StoreName): Promise<Side> => {
    const place = stack.use(await places[kind]())
    const application = stack.use(await stores[kind].create(place.url))
    const program = await programOf('relay')
    const options = JSON.stringify({ store: { kind, url: place.url }, broker, relay: brisk })
    return { application, url: place.url, startRelay: () => all.use(spawnNode(program, [options])) }
  }
  const from = await side('sqlite')
  const to = await side('postgres')
  const all = stack.move()
  return {
    from,
    to,
    audit: async () => {
      const committed = await Promise.all([from, to].map(({ application }) => application.committed()))
      return findings(committed.flat(), await readStream(broker))
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Writers that change the same ten orders again and again, and can be held up and sent elsewhere. */
class Writers implements AsyncDisposable {
  #target: Application
  #mayWrite = Promise.withResolvers<void>()
  #isOver = false
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #done: Promise<unknown>
  count = 0

  constructor(target: Application) {
    this.#target = target
    this.#mayWrite.resolve()
    this.#done = Promise.all(Array.from({ length: 4 }, () => this.#write(eventWriter())))
  }

  async #write(change: ReturnType<typeof eventWriter>): Promise<void> {
    while (!this.#isOver) {
      await this.#mayWrite.promise
      const writing = this.#target.commit(change(`order-${this.count++ % 10}`))
      this.#underWay.add(writing)
      await writing
      this.#underWay.delete(writing)
      await new Promise((resolve) => setImmediate(resolve)) // a synchronous driver lets nobody else in
    }
  }

  /** Resolves when nobody writes: every transaction has ended. */
  async holdUp(): Promise<void> {
    this.#mayWrite = Promise.withResolvers()
    await Promise.all(this.#underWay)
  }

  goOnIn(target: Application): void {
    this.#target = target
    this.#mayWrite.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    this.#mayWrite.resolve()
    await this.#done
  }
}

async function carry(from: Side, to: Side): Promise<number> {
  const client = new Database(from.url)
  const pool = new pg.Pool({ connectionString: to.url })
  try {
    return await carryCounters(drizzleSqlite({ client }), drizzlePg({ client: pool }))
  } finally {
    client.close()
    await pool.end()
  }
}

describeWith(['postgres', 'redis'], 'moving from SQLite to PostgreSQL', () => {
  test('under load: nothing is lost, repeated, or out of order', { timeout: 300_000 }, async () => {
    await using move = await prepareMove()
    const { from, to } = move
    const oldRelay = from.startRelay()
    await oldRelay.next(ofKind('partitions'))
    {
      await using writers = new Writers(from.application)
      await waitFor(() => writers.count > 500, { what: 'writes to the old store' })
      await writers.holdUp()
      expect(await carry(from, to)).toBe(10)
      writers.goOnIn(to.application)
      await waitFor(() => isDrained(from.application), { what: 'the old store to drain', timeoutMs: 120_000 })
      expect(await from.application.outbox.stats()).toMatchObject({ pending: 0, dead: 0 })
      await oldRelay.signal('SIGTERM')
      to.startRelay()
      const before = writers.count
      await waitFor(() => writers.count > before + 500, { what: 'writes to the new store', timeoutMs: 120_000 })
    }
    await waitFor(() => isDrained(to.application), { what: 'the new store to drain', timeoutMs: 120_000 })

    const committed = await Promise.all([from, to].map(({ application }) => application.committed()))
    expect(committed.map((ids) => ids.length > 400)).toEqual([true, true])
    expect(await move.audit()).toEqual(clean)
  })

  test('with a relay for the new store before the old one is drained, the audit finds the order broken', {
    timeout: 300_000,
  }, async () => {
    await using move = await prepareMove()
    const { from, to } = move
    const change = eventWriter()
    await from.application.commit(change('order-1'))
    await carry(from, to)
    await to.application.commit(change('order-1'))
    to.startRelay()
    await waitFor(() => isDrained(to.application), { what: 'the new store to be drained first' })
    from.startRelay()
    await waitFor(() => isDrained(from.application), { what: 'the old store to be drained' })
    expect((await move.audit()).outOfOrder).toHaveLength(1)
  })

  test('without the counters, the audit finds the order broken', { timeout: 300_000 }, async () => {
    await using move = await prepareMove()
    const { from, to } = move
    const change = eventWriter()
    await from.application.commit(change('order-1'))
    from.startRelay()
    await waitFor(() => isDrained(from.application), { what: 'the old store to be drained' })
    await to.application.commit(change('order-1'))
    to.startRelay()
    await waitFor(() => isDrained(to.application), { what: 'the new store to be drained' })
    expect((await move.audit()).outOfOrder).toHaveLength(1)
  })
})
