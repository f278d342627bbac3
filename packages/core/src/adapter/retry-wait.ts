/** Longer than anybody means to wait, shorter than what a database's times can hold. */
const longestWaitMs = 1e14

/** For stores: in how many whole milliseconds an entry is due again, never before its `retryInMs`. */
export function retryWaitMs({ retryInMs }: { readonly retryInMs: number }): number {
  return Math.ceil(Math.min(Math.max(0, retryInMs), longestWaitMs))
}
