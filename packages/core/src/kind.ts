/**
 * The kind of an object by its built-in tag: `Map`, `Date`, `Error`, and `Object` for records and most instances.
 *
 * Unlike `instanceof` it also knows objects from another realm, such as a test runner's sandbox.
 */
export function kindOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

export function isDate(value: unknown): value is Date {
  return typeof value === 'object' && value !== null && kindOf(value) === 'Date'
}

/** A value's kind for a message, never its content: errors carry no payload. */
export function describe(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  const kind = typeof value === 'object' ? kindOf(value) : typeof value
  return `${/^[aeio]/i.test(kind) ? 'an' : 'a'} ${kind}`
}
