import type { DueEntry, FetchRequest, Lease, LeasedSource, Settlement } from '@outbox/core'
import { asTransaction, type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Client } from 'pg'
import { openNodePostgres } from './pg-databases.ts'
import { replacing, type Sent } from './pg-watching.ts'

/** A relay's side of an outbox, driven step by step, over a pool of its own. */
export interface HandRelay {
  readonly holder: string
  readonly leases: readonly Lease[]
  fetch(request?: Partial<FetchRequest>): Promise<readonly DueEntry[]>
  settle(settlements: readonly Settlement[]): Promise<readonly Lease[]>
  /** Fetches and settles as published until nothing is due. */
  drain(request?: Partial<FetchRequest>): Promise<readonly DueEntry[]>
  /** Gives its leases back and leaves. */
  leave(): Promise<void>
}

/** An outbox with the log engine, set up, over a pool of its own. */
export async function openLog(url: string, place: { readonly schema?: string } = {}) {
  const own = openNodePostgres(url)
  await setup(own.db, { engine: 'log', ...place })
  const outbox: PgOutbox = pgOutbox({ db: own.db, engine: 'log', notify: 'off', ...place })
  return { ...own, outbox, ...place }
}

/** Joins, and acquires what is free of the given partitions. */
export async function handRelay(
  store: LeasedSource,
  {
    from = 0,
    to = 63,
    evicts = false,
  }: { readonly from?: number; readonly to?: number; readonly evicts?: boolean } = {},
): Promise<HandRelay> {
  const holder = crypto.randomUUID()
  await store.join({ holder })
  const { leases: all, relays } = await store.poll({ holder })
  const claims = all.filter(({ partition }) => partition >= from && partition <= to)
  const evict = evicts ? relays.filter((relay) => relay.holder !== holder) : []
  const leases = await store.acquire({ holder, claims, evict })
  const fetch: HandRelay['fetch'] = (request) =>
    store.fetch({ leases, limit: 500, limitPerAggregate: 500, maxBytes: 1e8, ...request })
  const settle: HandRelay['settle'] = async (settlements) => (await store.settle({ leases, settlements })).lost
  return {
    holder,
    leases,
    fetch,
    settle,
    async drain(request) {
      const all: DueEntry[] = []
      for (let batch = await fetch(request); batch.length > 0; batch = await fetch(request)) {
        all.push(...batch)
        await settle(batch.map(published))
      }
      return all
    },
    leave: () => store.release({ holder, leases, leave: true }),
  }
}

export function published(entry: DueEntry): Settlement {
  return { entry, outcome: 'published' }
}

export function refused(entry: DueEntry, retryInMs = 0): Settlement {
  return { entry, outcome: 'retry', retryInMs, isRefusal: true, reason: 'refused' }
}

/** `aggregate#sequence` of each, in the order they came. */
export function places(entries: readonly { readonly aggregateId: string; readonly sequence: number }[]): string[] {
  return entries.map(({ aggregateId, sequence }) => `${aggregateId}#${sequence}`)
}

/** A session of its own, inside a transaction that has written, and so has its id already. */
export async function beginOn(url: string, outbox: PgOutbox) {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('begin')
  await client.query('select pg_current_xact_id()')
  const tx = asTransaction(drizzle({ client }))
  return { client, enqueue: (...events: Parameters<PgOutbox['enqueue']>[1][]) => outbox.enqueue(tx, events.flat()) }
}

/** The relay's side, in the transaction that is open on `client`: as if one statement of it went on for all that time. */
export function insideOf(client: Client, schema: string): PgOutbox {
  const unwary = ({ text, ...sent }: Sent): Sent => ({
    ...sent,
    text: text.replace('pg_current_xact_id_if_assigned() is not null', 'false'),
  })
  const looksAway = replacing(client, 'query', (sent: string | Sent, values?: unknown[]) =>
    client.query((typeof sent === 'string' ? sent : unwary(sent)) as never, values),
  )
  return pgOutbox({ db: drizzle({ client: looksAway }), engine: 'log', notify: 'off', schema })
}
