import type { Mark, State } from './state.ts'

/** One string per consumer and message, whatever characters they hold. */
export function markKey({ consumer, messageId }: Pick<Mark, 'consumer' | 'messageId'>): string {
  return JSON.stringify([consumer, messageId])
}

/** Forgets marks that are at least `olderThanMs` old, at most `limit`, oldest first. @returns how many */
export function purgeMarks(
  state: State,
  { olderThanMs, limit }: { readonly olderThanMs: number; readonly limit: number },
): number {
  const newest = state.clock.monotonic() - olderThanMs
  const old = [...state.marks]
    .filter(([, { handledAt }]) => handledAt <= newest)
    .sort(([, a], [, b]) => a.handledAt - b.handledAt)
    .slice(0, limit)
  for (const [key] of old) state.marks.delete(key)
  return old.length
}
