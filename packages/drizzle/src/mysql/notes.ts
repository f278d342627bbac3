/**
 * SQL for the positions noted in flight under a lease, as a JSON array.
 *
 * A settle clears the notes of its leases by the number that it raises anyway: to write a text in a statement that
 * updates two tables, the server keeps it in a file until it is done.
 */
export function notesOf(lease: string): string {
  return `if(${lease}.noted_after = ${lease}.settles, ${lease}.in_flight, '[]')`
}
