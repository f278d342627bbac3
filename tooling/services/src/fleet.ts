import type { OwnServer } from './own-server.ts'

/** Starts `count` servers at once; if one does not start, the others are ended again. */
export async function startAll(
  count: number,
  start: (index: number) => Promise<OwnServer>,
): Promise<readonly OwnServer[]> {
  const results = await Promise.allSettled(Array.from({ length: count }, (_, index) => start(index)))
  const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (failures.length === 0) return servers
  await disposeAll(servers)
  throw failures.length === 1
    ? failures[0]
    : new AggregateError(failures, `${failures.length} of ${count} servers did not start`)
}

export async function disposeAll(servers: readonly OwnServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
}
