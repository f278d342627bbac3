/** 10,000 ids or aggregates, of less than 1 KiB each, are below the 16 MiB that one command, and one answer, can hold. */
const chunkSize = 10_000

export function inChunks<T>(values: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(values.length / chunkSize) }, (_, n) =>
    values.slice(n * chunkSize, (n + 1) * chunkSize),
  )
}
