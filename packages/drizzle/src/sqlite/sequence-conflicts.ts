import type { NewEntry } from '@outbox/core'
import { aggregateKey, sequenceConflict } from '@outbox/core/adapter'
import type { TableNames } from './names.ts'
import { integerOf } from './rows.ts'
import { query, type Steps } from './steps.ts'

/** An entry whose sequence the caller gave. */
interface Place {
  readonly id: string
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
}

/**
 * Refuses a batch in which a sequence is taken, by an entry in the table or by another of the batch. Under the write lock
 * it stays free until the batch is written.
 *
 * Plan: by the unique index of sequences, row by row.
 *
 * @throws {OutboxError} `sequence-conflict`, naming the first
 */
export function* refuseConflicts({ entries, entriesBySequence }: TableNames, fresh: readonly NewEntry[]): Steps<void> {
  const places = fresh.flatMap(({ id, aggregateType, aggregateId, sequence }) =>
    sequence === undefined ? [] : [{ id, aggregateType, aggregateId, sequence }],
  )
  if (places.length === 0) return
  const [taken] = yield* query(
    `SELECT t.key AS place FROM json_each(?) t CROSS JOIN ${entries} e INDEXED BY ${entriesBySequence}
       ON e.aggregate_type = t.value ->> 0 AND e.aggregate_id = t.value ->> 1 AND e.sequence = t.value ->> 2
     ORDER BY t.key LIMIT 1`,
    JSON.stringify(places.map(({ aggregateType, aggregateId, sequence }) => [aggregateType, aggregateId, sequence])),
  )
  const conflict = taken ? places[integerOf(taken, 'place')] : twiceIn(places)
  if (conflict) throw sequenceConflict(conflict)
}

/** Entries that share an id are one by now. */
function twiceIn(places: readonly Place[]): Place | undefined {
  const seen = new Set<string>()
  return places.find((place) => {
    const key = `${aggregateKey(place)} ${place.sequence}`
    const isTwice = seen.has(key)
    seen.add(key)
    return isTwice
  })
}
