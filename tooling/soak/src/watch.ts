import { stat } from 'node:fs/promises'
import type { Lab } from '@outbox/faults/lab'
import type { NodeChild } from '@outbox/services'
import pg from 'pg'
import type { Sample } from './sample.ts'

/** Looks at everything once. Never rejects: what is away has no figure. */
export async function look(lab: Lab, steady: NodeChild, atMs: number): Promise<Sample> {
  const held = steady.messages.findLast(isHeld)
  const [stats, tableBytes] = await Promise.all([orNull(lab.shop.outbox.stats()), orNull(tableBytesOf(lab))])
  return {
    atMs,
    rssBytes: held?.rss ?? null,
    heapBytes: held?.heapUsed ?? null,
    handles: held?.handles ?? null,
    databaseConnections: lab.databaseProxy?.connections ?? 0,
    brokerConnections: lab.brokerProxy.connections,
    lagMs: stats === null ? null : (stats.oldestPendingAgeMs ?? 0),
    pending: stats?.pending ?? null,
    tableBytes,
  }
}

/** What the relay process tells of itself. */
interface Held {
  readonly rss: number
  readonly heapUsed: number
  readonly handles: number
}

function isHeld(message: unknown): message is Held {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === 'sample'
}

async function tableBytesOf({ database, options }: Lab): Promise<number> {
  if (options.store === 'sqlite' || options.store === 'libsql') return (await stat(database.url)).size
  const client = new pg.Client({ connectionString: database.url })
  client.on('error', () => undefined) // the query tells
  try {
    await client.connect()
    const { rows } = await client.query<{ bytes: string }>(`select pg_total_relation_size('outbox_entries') as bytes`)
    return Number(rows[0]?.bytes)
  } finally {
    await client.end()
  }
}

/** A soak takes its servers away on purpose: a figure that could not be had is part of the picture. */
async function orNull<T>(figure: Promise<T>): Promise<T | null> {
  try {
    return await figure
  } catch {
    return null
  }
}
