import { type DueEntry, partitionCount, partitionOf } from '@outbox/core'
import { createRelay } from '@outbox/relay'
import { waitFor } from '@outbox/services/wait-for'
import pg from 'pg'
import { fillOutbox, hotAggregate } from '../../backlog.ts'
import type { Contestant, Figures, Setting } from '../../contestant.ts'
import { gated } from '../../gate.ts'
import { nullPublisher } from '../../rows.ts'
import { postgresStore } from '../../stores/postgres.ts'

/** Drains exactly `rows` entries of a backlog; the relay has its leases when the time begins. */
export const contestant: Contestant = {
  title: '@outbox',
  role: 'ours',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
  tuning: 'defaults: 4 lanes, batches of up to 500, at most 100 of one aggregate',
  prepare: fillOutbox,
  async open(setting) {
    const { url, rows, backlog = rows } = setting
    const { outbox, left: pending, close } = await postgresStore().open(url)
    const tally = new Tally()
    const all = Promise.withResolvers<void>()
    // where all is drained, lanes need not share what is left of it
    const { store, open } = gated(outbox, rows === backlog ? undefined : rows, isCounted)
    const relay = createRelay({
      store,
      publisher: nullPublisher(),
      on: {
        published: ({ entries }) => {
          tally.add(entries)
          if (tally.counted >= rows) all.resolve()
        },
        error: ({ error }) => all.reject(error),
      },
    })
    const snapshot = setting.hasOldSnapshot ? await oldSnapshot(url) : undefined
    await relay.start()
    await waitFor(() => relay.stats().partitions === partitionCount, { what: 'the relay to have its leases' })
    return {
      async run() {
        const before = performance.now()
        open()
        relay.wake()
        await all.promise
        return tally.figures(setting, (performance.now() - before) / 1000)
      },
      async left() {
        await relay.stop()
        return Math.abs(backlog - (await pending()) - tally.published) + (rows - tally.counted)
      },
      async [Symbol.asyncDispose]() {
        await relay.stop()
        await snapshot?.[Symbol.asyncDispose]()
        await close()
      },
    }
  },
}

const hotPartition = partitionOf('order', hotAggregate)

function isCounted({ aggregateId }: DueEntry): boolean {
  return aggregateId !== hotAggregate
}

/** What was published, and whose it was. */
class Tally {
  published = 0
  counted = 0
  #neighbours = 0

  add(entries: readonly DueEntry[]): void {
    const counted = entries.filter(isCounted)
    this.published += entries.length
    this.counted += counted.length
    this.#neighbours += counted.filter(({ lease }) => lease.partition === hotPartition).length
  }

  figures({ rows, payloadBytes, hotShare }: Setting, seconds: number): Figures {
    if (hotShare === undefined) return { 'MB/s': (rows * payloadBytes) / 1e6 / seconds }
    return { 'hot/s': (this.published - this.counted) / seconds, 'neighbours/s': this.#neighbours / seconds }
  }
}

/** A transaction, open until it is disposed of, that sees everything as it is now. */
async function oldSnapshot(url: string): Promise<AsyncDisposable> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query('begin isolation level repeatable read')
  await client.query('select from outbox_entries limit 1')
  return { [Symbol.asyncDispose]: () => client.end() }
}
