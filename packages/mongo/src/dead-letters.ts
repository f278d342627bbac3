import { type CallOptions, type DeadLetter, type DeadLetterFilter, isUuid } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { putBack } from './aside.ts'
import { inChunks } from './chunks.ts'
import { type Context, under } from './context.ts'
import { aggregateNameOf, contentFields, inScan, lentContent } from './entries.ts'
import { heads } from './prefixes.ts'
import { type Document, dateIn, documentIn, numberIn, textIn, whole } from './values.ts'

type Page = { readonly after?: string; readonly limit: number; readonly where?: DeadLetterFilter } & CallOptions

/**
 * `DeadLetters.list`. The entry of `after` keeps its place when it is requeued or discarded between two pages.
 *
 * Plan: a range of the index of dead entries by position; a filter is applied to these.
 */
export async function listDead(context: Context, page: Page): Promise<readonly DeadLetter[]> {
  const { database } = under(context, page)
  const limit = whole(page.limit)
  const where = conditionsOf(page.where ?? {})
  const behind = page.after === undefined ? {} : await placeBehind(under(context, page), page.after)
  if (limit === 0 || behind === undefined) return []
  const documents = await database.find(
    'entries',
    { state: 'dead', ...where, ...behind },
    {
      projection: { ...contentFields, reason: 1, diedAt: 1, settledBy: 1 },
      sort: { position: 1, _id: 1 },
      limit: Math.min(limit, 2 ** 31 - 1),
    },
  )
  return documents.map((document) => ({
    entry: lentContent(document),
    reason: textIn(document, 'reason'),
    diedAt: dateIn(document, 'diedAt'),
    holder: textIn(document, 'settledBy'),
  }))
}

async function placeBehind({ database, toUuid }: Context, after: string): Promise<Document | undefined> {
  if (!isUuid(after)) return undefined
  const [entry] = await database.find('entries', { _id: toUuid()(after) }, { projection: { position: 1 } })
  if (!entry) return undefined
  const position = numberIn(entry, 'position')
  return { $or: [{ position: { $gt: position } }, { position, _id: { $gt: entry['_id'] } }] }
}

function conditionsOf({ eventType, aggregateType, aggregateId, diedBefore }: DeadLetterFilter): Document {
  return {
    ...(eventType === undefined ? {} : { eventType }),
    ...(aggregateType === undefined ? {} : { 'aggregate.type': aggregateType }),
    ...(aggregateId === undefined ? {} : { 'aggregate.id': aggregateId }),
    ...(diedBefore === undefined ? {} : { diedAt: { $lt: diedBefore } }),
  }
}

/**
 * `DeadLetters.requeue`. An entry comes back in one write of its document, at its old sequence and position.
 *
 * Its aggregate's other waits are ended first: cut off in between, the aggregate goes on a little early, and the entry
 * is still dead.
 */
export async function requeueDead(context: Context, ids: readonly string[], call?: CallOptions): Promise<number> {
  const { database } = under(context, call)
  const dead = await entriesIn(['dead'], under(context, call), ids)
  if (dead.length === 0) return 0
  for (const some of inChunks(aggregatesOf(dead))) {
    const waits = {
      partition: { $in: [...new Set(some.map((entry) => numberIn(entry, 'partition')))] },
      aggregate: { $in: some.map((entry) => documentIn(entry, 'aggregate')) },
      holdsUntil: { $gt: new Date(0) },
      state: 'pending',
    }
    await database.updateMany('entries', waits, {
      $unset: { holdsUntil: '' },
      $set: { asideUntil: inScan },
      $inc: { moves: 1 },
    })
  }
  return database.updateMany(
    'entries',
    { _id: { $in: dead.map(({ _id }) => _id) }, state: 'dead' },
    {
      $set: { state: 'pending', asideUntil: inScan, refused: 0, crashes: 0 },
      $inc: { requeues: 1, moves: 1 },
      $unset: { holdsUntil: '', reason: '', settledBy: '', diedAt: '' },
    },
  )
}

/**
 * `DeadLetters.discard`: the entry is kept, and its id known, until it is purged.
 *
 * With it ends the block of its aggregate, in the same write. Then the aggregate's next entry is put back into the scan;
 * cut off in between, a scan finds it when its time aside is over, or another call with the same ids puts it back: an
 * entry that is discarded already no longer tells whether it blocked.
 */
export async function discardDead(context: Context, ids: readonly string[], call?: CallOptions): Promise<number> {
  const own = under(context, call)
  const found = await entriesIn(['dead', 'discarded'], own, ids)
  const dead = found.filter(isDead)
  const discarded =
    dead.length === 0
      ? 0
      : await own.database.updateMany(
          'entries',
          { _id: { $in: dead.map(({ _id }) => _id) }, state: 'dead' },
          { $set: { state: 'discarded' }, $unset: { holdsUntil: '' }, $currentDate: { endedAt: true } },
        )
  const freed = aggregatesOf(found.filter((entry) => !isDead(entry) || entry['holdsUntil'] !== undefined))
  const next = await heads(
    own,
    freed.map((entry) => ({ aggregate: documentIn(entry, 'aggregate') })),
  )
  // a fetch that still saw the block may be about to set the next one aside
  await putBack(
    own,
    [...next.values()].map(({ head }) => head),
    true,
  )
  return discarded
}

async function entriesIn(
  states: readonly ('dead' | 'discarded')[],
  { database, toUuid }: Context,
  ids: readonly string[],
): Promise<readonly Document[]> {
  const given = ids.filter(isUuid).map(toUuid())
  if (given.length === 0) return []
  const projection = { partition: 1, aggregate: 1, holdsUntil: 1, state: 1 }
  return database.find('entries', { _id: { $in: given }, state: { $in: states } }, { projection })
}

function isDead(entry: Document): boolean {
  return entry['state'] === 'dead'
}

/** One entry of each aggregate. */
function aggregatesOf(entries: readonly Document[]): readonly Document[] {
  return [...new Map(entries.map((entry) => [aggregateKey(aggregateNameOf(entry)), entry])).values()]
}
