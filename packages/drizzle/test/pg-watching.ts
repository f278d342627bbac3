import type { Pool, PoolClient } from 'pg'
import { type MockInstance, vi } from 'vitest'

/** A statement as drizzle, or the store itself, gives it to node-postgres. */
export interface Sent {
  /** of one that is to be prepared */
  readonly name?: string
  readonly text: string
  readonly values: readonly unknown[]
}

/** The pool, where something is done before each statement with values: drizzle's, and those that are prepared. */
export function watching(pool: Pool, before: (statement: Sent) => Promise<void>): Pool {
  const watchedClient = (client: PoolClient): PoolClient =>
    replacing(client, 'query', async (sent: string | Sent) => {
      if (typeof sent === 'object') await before(sent)
      return client.query(sent as never)
    })
  const watchedQuery = replacing(pool, 'query', async (sent: Sent, values: unknown[] = []) => {
    await before({ ...sent, values })
    return pool.query(sent as never, values)
  })
  return replacing(watchedQuery, 'connect', async () => watchedClient(await pool.connect()))
}

/** The object, with another method in place of one. */
export function replacing<T extends object>(target: T, name: keyof T, method: unknown): T {
  return new Proxy(target, { get: (_, key) => (key === name ? method : Reflect.get(target, key)) })
}

/** The process's clock, ahead by so much until it is disposed of. */
export function clockAhead(ms: () => number): MockInstance<typeof performance.now> & Disposable {
  const now = performance.now.bind(performance)
  return vi.spyOn(performance, 'now').mockImplementation(() => now() + ms())
}
