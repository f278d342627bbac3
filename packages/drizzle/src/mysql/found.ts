import type { FetchRequest } from '@outbox/core'
import type { Cuttable } from '../shared/cut.ts'
import { lentColumns } from './content.ts'
import { byKey } from './indexes.ts'
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
export function foundColumns({ maxBytes }: FetchRequest, atMost: number): string {
  return `${lentColumns('e', `if(e.payload_bytes <= ${whole(maxBytes / atMost)}, e.payload, null)`)},
  e.position, e.payload_bytes, numbered.value as numbered_by`
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
