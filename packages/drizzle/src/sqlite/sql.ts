/** The database's clock: milliseconds since 1970. All times in the tables are of this kind. */
export const nowMs: string = "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"

/** Bytes of UTF-8, as the column that counts them is defined; of UTF-16 in a database of that encoding. */
export const payloadBytes: string = 'length(CAST(payload AS BLOB))'

/** Above every sequence and position. */
export const beyondAll: string = String(Number.MAX_SAFE_INTEGER)

/** A number for LIMIT, which SQLite takes for no limit at all when it is negative, and refuses when it is not whole. */
export function rowLimit(limit: number): number {
  return limit > 0 ? Math.min(Math.floor(limit), 0x7fff_ffff) : 0
}

/** Some three hundred thousand years: before every time that SQLite can tell. */
const longestAgeMs = 9e15

/** A number of milliseconds that one driver takes for a whole number: an age is rounded up, and not endless. */
export function wholeAge(ms: number): number {
  return Math.ceil(Math.min(Math.max(0, ms), longestAgeMs))
}
