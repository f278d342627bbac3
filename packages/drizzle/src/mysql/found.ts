import type { FetchRequest } from '@outbox/core'
import type { Cuttable } from '../shared/cut.ts'
import { lentColumns } from './content.ts'
import { by, byKey, inOrder } from './indexes.ts'
import { whole } from './literals.ts'
import type { Names } from './names.ts'
import { numberIn, type Row, textIn } from './rows.ts'

export interface AggregateName {
  readonly aggregateType: string
  readonly aggregateId: string
}

/** A pending entry that a fetch has found. */
export interface Found extends AggregateName, Cuttable {
  readonly partition: number
  readonly sequence: number
  /** all that is lent of it; without the payload where that is large, which is read once the entry is in the batch */
  readonly columns: Row
}

/**
 * What `foundIn` needs of the entries, as the table `e` with `numberedBy` beside it.
 *
 * @param atMost - entries that may come: a payload comes along if it is no more than its share of a batch's bytes
 */
export function foundColumns(names: Names, { maxBytes }: FetchRequest, atMost: number): string {
  return `${lentColumns('e', `if(e.payload_bytes <= ${whole(maxBytes / atMost)}, e.payload, null)`)},
  e.position, e.payload_bytes,
  -- Only where callers number: a sequence above can have been published only because this one was committed after it.
  -- A requeued entry was there in time: it died, and others were let past.
  numbered.value = 'caller' and e.requeues = 0 and e.sequence < coalesce((
    select done.sequence from ${names.entries} done ${by(names, 'entries_order')}
    where done.aggregate_type = e.aggregate_type and done.aggregate_id = e.aggregate_id and done.state = 'published'
    ${inOrder('done', ' desc')}), 0) as is_late`
}

/** Who numbers the aggregate of `e`. */
export function numberedBy({ meta }: Names): string {
  return `left join ${meta} numbered ${byKey} on numbered.\`key\` = concat('sequence-source:', e.aggregate_type)`
}

export function foundIn(row: Row): Found {
  return {
    ...nameIn(row),
    partition: numberIn(row, 'partition'),
    sequence: numberIn(row, 'sequence'),
    position: numberIn(row, 'position'),
    payloadBytes: numberIn(row, 'payload_bytes'),
    crashes: numberIn(row, 'crashes'),
    columns: row,
  }
}

export function nameIn(row: Row): AggregateName {
  return { aggregateType: textIn(row, 'aggregate_type'), aggregateId: textIn(row, 'aggregate_id') }
}
