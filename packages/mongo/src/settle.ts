import { type Lease, partitionOf, type Settlement, type SettleRequest } from '@outbox/core'
import { firstWords, groupedBy } from '@outbox/core/adapter'
import type { Context } from './context.ts'
import { among, complete, leaseDocuments, standingAndDone, stands } from './lease-documents.ts'
import { newestPosition } from './lent.ts'
import { applying, logDocument, type SettleLog, saidOf } from './settle-log.ts'
import type { Document } from './values.ts'

/** One lease of a settle, and what is said under it. */
interface Part {
  readonly lease: Lease
  readonly log: SettleLog
}

/**
 * `LeasedSource.settle`: for each lease one write of its document, which is where it happens; then the entries follow.
 *
 * A process that dies in between has settled: what its log says is applied before the lease is used again.
 */
export async function settle(context: Context, request: SettleRequest): Promise<{ readonly lost: readonly Lease[] }> {
  const parts = await partsOf(context, request)
  const settled = await writeLogs(context, parts)
  await context.database.bulk('entries', applying(settled.map(({ log }) => log)))
  const at = context.database.seenUpTo()
  for (const { lease, log } of settled) context.applied.set(lease.partition, { log: log.id, at })
  const kept = new Set(settled.map(({ lease }) => keyOf(lease)))
  return { lost: request.leases.filter((lease) => !kept.has(keyOf(lease))) }
}

async function partsOf(
  { database, toUuid, newLeaseWriteId }: Context,
  request: SettleRequest,
): Promise<readonly Part[]> {
  const settlements = firstWords(request.settlements)
  const now = settlements.some(({ outcome }) => outcome === 'retry') ? await database.now() : new Date(0)
  const newest = newestPosition(settlements)
  // a lease that only a settlement names is one of the batch as well
  const leases = new Map(
    [...request.leases, ...settlements.map(({ entry }) => entry.lease)].map((one) => [keyOf(one), one]),
  )
  const byLease = groupedBy(
    settlements.filter(({ entry }) => isOf(entry.lease, entry)),
    ({ entry }) => keyOf(entry.lease),
  )
  return [...leases].map(([key, lease]) => {
    const said = saidOf(byLease.get(key) ?? [], toUuid(), now)
    // one id for each part: two leases of one partition, an old one and the one that stands, may be in one call
    return { lease, log: { id: newLeaseWriteId(), epoch: lease.epoch, holder: lease.holder, newest, said } }
  })
}

/** What is said of an entry under the lease of another partition does not count. */
function isOf({ partition }: Lease, { aggregateType, aggregateId }: Settlement['entry']): boolean {
  return partitionOf(aggregateType, aggregateId) === partition
}

function keyOf({ partition, epoch, holder }: Lease): string {
  return `${partition} ${epoch} ${holder}`
}

/**
 * What was noted after the settle began stays noted: one that was given up on may land when the next batch has been lent.
 */
function stillInFlight({ id }: SettleLog): Document {
  return { $cond: [{ $lt: ['$noteId', id] }, [], '$inFlight'] }
}

/** Writes each log where its lease stands. @returns the parts that counted */
async function writeLogs(context: Context, parts: readonly Part[]): Promise<readonly Part[]> {
  const settled: Part[] = []
  for (let rest = parts; rest.length > 0; ) {
    const met = await context.database.bulk(
      'leases',
      rest.map(({ lease, log }) => ({
        updateOne: {
          filter: standingAndDone(context, lease),
          update: [{ $set: { log: { $literal: logDocument(log) }, lastLog: log.id, inFlight: stillInFlight(log) } }],
        },
      })),
    )
    if (met === rest.length) return [...settled, ...rest]
    const documents = await leaseDocuments(
      context,
      rest.map(({ lease }) => lease.partition),
    )
    const isWritten = ({ lease, log }: Part): boolean => {
      const { lastLog, formerLog } = documents.get(lease.partition) ?? {}
      return lastLog === log.id || formerLog === log.id
    }
    settled.push(...rest.filter(isWritten))
    // a lease that stands, and was not written: something is left to do first, by an earlier call that was cut off
    rest = rest.filter((part) => !isWritten(part) && stands(documents.get(part.lease.partition) ?? {}, part.lease))
    await complete(
      context,
      among(
        documents,
        rest.map(({ lease }) => lease),
      ),
    )
  }
  return settled
}
