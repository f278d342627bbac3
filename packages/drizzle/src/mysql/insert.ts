import type { NumberedEntry } from './enqueue.ts'
import { textLiteral, timeLiteral, uuidLiteral } from './literals.ts'
import type { Names } from './names.ts'

/**
 * Characters of one statement: well below what a server takes at once (`max_allowed_packet`, 16 MB by default on
 * MariaDB). A text that is not plain ASCII takes two characters a byte.
 */
const chunkLength = 4_000_000

/** The statements that insert a batch; of one row at least, whatever it measures. */
export function chunks({ entries }: Names, batch: readonly NumberedEntry[]): readonly string[] {
  const head = `insert into ${entries} (id, \`partition\`, aggregate_type, aggregate_id, event_type, sequence, payload, headers, occurred_at) values `
  const statements: string[] = []
  let rows: string[] = []
  let length = 0
  for (const entry of batch) {
    const row = rowOf(entry)
    if (rows.length > 0 && length + row.length > chunkLength) {
      statements.push(head + rows.join(', '))
      rows = []
      length = 0
    }
    rows.push(row)
    length += row.length
  }
  return [...statements, head + rows.join(', ')]
}

function rowOf(entry: NumberedEntry): string {
  const values = [
    uuidLiteral(entry.id),
    entry.partition,
    textLiteral(entry.aggregateType),
    textLiteral(entry.aggregateId),
    textLiteral(entry.eventType),
    entry.sequence,
    textLiteral(entry.payload),
    textLiteral(JSON.stringify(entry.headers)),
    timeLiteral(entry.occurredAt),
  ]
  return `(${values.join(', ')})`
}
