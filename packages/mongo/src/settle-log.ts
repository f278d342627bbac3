import type { Settlement } from '@outbox/core'
import { groupedBy, requeuesOf, retryWaitMs } from '@outbox/core/adapter'
import type { Write } from './database.ts'
import type { ToUuid } from './uuids.ts'
import { type Document, dateIn, documentsIn, isAbsent, numberIn, textIn, valuesIn } from './values.ts'

/**
 * What a settle said under one lease, as it stands in the lease's document until it is applied to the entries.
 *
 * MongoDB writes one document at a time. So the lease's document is where a settle happens, wholly or not at all, under
 * the fence; whoever needs the lease next applies what stands there first. Applying is idempotent for ever: each write
 * asks for the very try that was spoken of, and numbers that only grow tell tries apart: refusals and requeues of one
 * entry, and the position, where an id was purged and came again.
 */
export interface SettleLog {
  readonly id: string
  readonly epoch: number
  readonly holder: string
  /** the position of the newest entry that it speaks of; a log may be without it */
  readonly newest: number | undefined
  readonly said: readonly Document[]
}

/** Logs that this process has applied to the last write, by partition. Knowing nothing costs applying one again. */
export type Applied = Map<number, { readonly log: string; readonly at: WriteTime }>

/** When a write took effect, as the server counts; undefined where it does not tell. */
export type WriteTime = unknown

/** Far beyond every wait: the aggregate is blocked. */
const forEver: Date = new Date(8.64e15)
/** A reason is for people. A lease's document, which may hold a whole batch of them, ends at 16 MiB. */
const reasonBytes = 4_096
const reasonBytesInAll = 4 * 1024 * 1024

/** Settlements as they are written down: those of published entries together, by try; every other one by itself. */
export function saidOf(settlements: readonly Settlement[], toUuid: ToUuid, now: Date): readonly Document[] {
  const published = groupedBy(
    settlements.filter(({ outcome }) => outcome === 'published'),
    ({ entry }) => `${entry.attempt} ${requeuesOf(entry)}`,
  )
  return [
    ...[...published.values()].flatMap((group) => {
      const ids = group.map(({ entry }) => toUuid(entry.id))
      return group.slice(0, 1).map(({ entry, outcome }) => ({ ids, outcome, ...triedOf(entry) }))
    }),
    ...settlements
      .map((one) => failureOf(one, toUuid, now, settlements.length))
      .filter((failure) => failure !== undefined),
  ]
}

function triedOf(entry: Settlement['entry']): Document {
  return { refused: entry.attempt - 1, requeues: requeuesOf(entry) }
}

function failureOf(settlement: Settlement, toUuid: ToUuid, now: Date, settlements: number): Document | undefined {
  if (settlement.outcome === 'published') return undefined
  const { entry, outcome } = settlement
  const common = { id: toUuid(entry.id), outcome, ...triedOf(entry) }
  const reason = shortened(settlement.reason, Math.min(reasonBytes, Math.floor(reasonBytesInAll / settlements)))
  if (settlement.outcome === 'dead') return { ...common, reason, blocks: settlement.blocksAggregate }
  return {
    ...common,
    reason,
    isRefusal: settlement.isRefusal,
    until: new Date(now.getTime() + retryWaitMs(settlement)),
  }
}

function shortened(reason: string, bytes: number): string {
  const text = wellFormed(reason.slice(0, bytes))
  return Buffer.byteLength(text) <= bytes ? text : wellFormed(text.slice(0, Math.floor(bytes / 3)))
}

/** A half of a surrogate pair is no text in UTF-8. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}

export function logDocument({ id, epoch, holder, newest, said }: SettleLog): Document {
  return { id, epoch, holder, ...(newest === undefined ? {} : { newest }), said }
}

export function logIn(lease: Document): SettleLog | undefined {
  const [log] = documentsIn({ log: lease['log'] ? [lease['log']] : [] }, 'log')
  return (
    log && {
      id: textIn(log, 'id'),
      epoch: numberIn(log, 'epoch'),
      holder: textIn(log, 'holder'),
      newest: isAbsent(log['newest']) ? undefined : numberIn(log, 'newest'),
      said: documentsIn(log, 'said'),
    }
  )
}

/** The writes that apply logs. In any order, again and again, by anybody: each takes effect at most once. */
export function applying(logs: readonly SettleLog[]): readonly Write[] {
  const published = new Map<string, { readonly tried: Document; readonly ids: unknown[] }>()
  const writes: Write[] = []
  for (const log of logs) {
    for (const said of log.said) {
      if (said['outcome'] !== 'published') {
        writes.push({ updateOne: said['outcome'] === 'dead' ? death(said, log) : retry(said, log) })
        continue
      }
      const tried = tryOf(said, log)
      const key = JSON.stringify(tried)
      const group = published.get(key) ?? { tried, ids: [] as unknown[] }
      published.set(key, group)
      for (const id of valuesIn(said, 'ids')) group.ids.push(id)
    }
  }
  for (const { tried, ids } of published.values()) {
    writes.push({ updateMany: { filter: { _id: { $in: ids }, ...tried }, update: publication } })
  }
  return writes
}

type Update = { readonly filter: Document; readonly update: Document }

const publication: Document = Object.freeze({
  $set: { state: 'published', crashes: 0 },
  $unset: { holdsUntil: '', reason: '' },
  $currentDate: { endedAt: true },
})

/** The very try that is spoken of, of the entry that had the id then. */
function tryOf(said: Document, { newest }: SettleLog): Document {
  return {
    state: 'pending',
    refused: numberIn(said, 'refused'),
    requeues: numberIn(said, 'requeues'),
    ...(newest === undefined ? {} : { position: { $lte: newest } }),
  }
}

function death(said: Document, log: SettleLog): Update {
  const blocks = said['blocks'] === true
  return {
    filter: { _id: said['id'], ...tryOf(said, log) },
    update: {
      $set: {
        state: 'dead',
        crashes: 0,
        reason: textIn(said, 'reason'),
        settledBy: log.holder,
        ...(blocks ? { holdsUntil: forEver } : {}),
      },
      ...(blocks ? {} : { $unset: { holdsUntil: '' } }),
      $currentDate: { diedAt: true },
    },
  }
}

/**
 * A retry that is no refusal leaves the try as it was: here the lease and the call tell whether it, or a later one, was
 * applied.
 */
function retry(said: Document, log: SettleLog): Update {
  const { id, epoch } = log
  const until = dateIn(said, 'until')
  const isNews = { $or: [{ settledUnder: { $lt: epoch } }, { settledUnder: epoch, settle: { $lt: id } }] }
  return {
    filter: { _id: said['id'], ...tryOf(said, log), ...isNews },
    update: {
      $set: {
        crashes: 0,
        reason: textIn(said, 'reason'),
        holdsUntil: until,
        asideUntil: until,
        settledUnder: epoch,
        settle: id,
      },
      $inc: { moves: 1, refused: said['isRefusal'] === true ? 1 : 0 },
    },
  }
}
